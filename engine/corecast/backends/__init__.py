"""Targets, and what is done for them: tasks from a module, schedules for the tasks, code that runs."""

from corecast.backends.build import Executable, RunError, Runner, build
from corecast.backends.host import tvm_target
from corecast.backends.pipeline import BuildError, unrunnable
from corecast.backends.records import Records, RecordsError
from corecast.backends.tasks import Task, TaskError, tasks
from corecast.backends.tuners import Candidate, Search, Tuner
from corecast.backends.tuners.metaschedule import MetaSchedule
from corecast.backends.tuning import TaskResult, TuneError, TuneProgress, tune
from corecast.backends.workloads import Workload, workloads

__all__ = [
    "BuildError",
    "Candidate",
    "Executable",
    "MetaSchedule",
    "Records",
    "RecordsError",
    "RunError",
    "Runner",
    "Search",
    "Task",
    "TaskError",
    "TaskResult",
    "TuneError",
    "TuneProgress",
    "Tuner",
    "Workload",
    "build",
    "tasks",
    "tune",
    "tvm_target",
    "unrunnable",
    "workloads",
]
