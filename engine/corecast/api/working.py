"""The command `worker`: a tracker's address in, a server that measures for it, started anew where it dies."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Annotated

import typer

from corecast.api.options import UsageError
from corecast.lang import Problem
from corecast.report import Reporter

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# A server that ends sooner has not found what it needs, and would not the next time.
SOON = 5.0

Address = Annotated[str, typer.Option("--tracker", metavar="HOST:PORT", help="Of the tracker that lends this worker.")]
Key = Annotated[str, typer.Option("--key", help="A label for workers of one kind; no secret.")]
Host = Annotated[str, typer.Option("--host", help="The address to listen on; loopback unless told otherwise.")]


def worker(tracker: Address, key: Key, host: Host = "127.0.0.1") -> None:
    """Measure candidates of a tune elsewhere on this machine, until it is interrupted."""
    from corecast.backends import Tracker

    reporter = Reporter()
    where = Tracker.parse(tracker, key)
    if host not in LOOPBACK:
        reporter.note(f"listening on {host}: whoever reaches it can run any code here as this user")
    command = [sys.executable, "-m", "tvm.exec.rpc_server", "--no-fork", "--silent"]
    command += ["--host", host, "--tracker", str(where), "--key", key]
    reporter.text(f"a worker for {where}, key `{key}`; Ctrl-C ends it")
    while True:
        started = time.monotonic()
        with subprocess.Popen(command) as server:
            try:
                status = server.wait()
            finally:
                server.terminate()
        if time.monotonic() - started < SOON:
            message = f"the server ended at once, with status {status}"
            help = f"TVM's server needs tornado (`pip install 'corecast[rpc]'`) and a tracker at {where}"
            raise UsageError(Problem("no-tracker", message, help=help))
        reporter.note(f"the server died (status {status}); another takes its place")
