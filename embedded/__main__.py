"""`python -m embedded run --data DIR [--fast] -- CMD…`: run CMD beside its own PostgreSQL and Valkey.

DATABASE_URL, REDIS_URL and SECRET_KEY are set for CMD; a server that such a variable names already is not started.
Exits with CMD's code. Any number of runs may go on at once, each in a DIR of its own.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from embedded.errors import StartError
from embedded.servers import running_servers
from embedded.service import launched


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m embedded", description=__doc__)
    run = parser.add_subparsers(dest="action", required=True).add_parser("run", help="run a command beside servers")
    run.add_argument("--data", type=Path, required=True, metavar="DIR", help="data folder, made if missing")
    run.add_argument("--fast", action="store_true", help="synchronous_commit=off, for tests")
    run.add_argument("command", nargs="+", metavar="CMD")
    arguments = parser.parse_args()
    # A plain exit would leave the servers to the kernel's signal; this way they are stopped in order.
    signal.signal(signal.SIGTERM, exit_on_signal)
    try:
        with running_servers(arguments.data, fast=arguments.fast) as servers:
            return run_command(arguments.command, {**os.environ, **servers.variables()})
    except StartError as error:
        print(error, file=sys.stderr)
        return 1


def exit_on_signal(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def run_command(command: list[str], environment: dict[str, str]) -> int:
    # It stays in the terminal's group, so that Ctrl-C and a debugger's prompt reach it; we wait for it to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process = subprocess.Popen(launched(command, death_signal=signal.SIGTERM), env=environment)
    try:
        code = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
