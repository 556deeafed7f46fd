"""`corecast`, and `python -m corecast.api`."""

import signal
import sys

# Until there is somebody who can answer it, an interrupt ends the process, and not with the traceback of an import.
if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from corecast.api.cli import run

if __name__ == "__main__":
    sys.exit(run())
