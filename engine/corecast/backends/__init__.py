"""Targets, and what is done for them: tasks from a module, schedules for the tasks, code that runs."""

from corecast.backends.build import Executable, RunError, Runner, build
from corecast.backends.exchange import exported, imported
from corecast.backends.host import tvm_target
from corecast.backends.measuring import Bench
from corecast.backends.pipeline import BuildError, uncompilable, unrunnable
from corecast.backends.records import Known, Records, RecordsError, Trial, useless
from corecast.backends.remote import RemoteError, Tracker
from corecast.backends.store import Key, Record, Store
from corecast.backends.tasks import Task, TaskError, tasks
from corecast.backends.tuners import Job, Tuner, TunerError, find_tuner, tuners
from corecast.backends.tuning import Budget, TaskResult, TuneError, TuneProgress, tune
from corecast.backends.workloads import Workload, workloads

__all__ = [
    "Bench",
    "Budget",
    "BuildError",
    "Executable",
    "Job",
    "Key",
    "Known",
    "Record",
    "Records",
    "RecordsError",
    "RemoteError",
    "RunError",
    "Runner",
    "Store",
    "Task",
    "TaskError",
    "TaskResult",
    "Tracker",
    "Trial",
    "TuneError",
    "TuneProgress",
    "Tuner",
    "TunerError",
    "Workload",
    "build",
    "exported",
    "find_tuner",
    "imported",
    "tasks",
    "tune",
    "tuners",
    "tvm_target",
    "uncompilable",
    "unrunnable",
    "useless",
    "workloads",
]
