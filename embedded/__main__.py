"""`python -m embedded run --data DIR [--fast] -- CMD…`: run CMD beside its own PostgreSQL and Valkey.

DATABASE_URL, REDIS_URL and SECRET_KEY are set for CMD; a server that such a variable names already is not started.
Exits with CMD's code. Any number of runs may go on at once, each in a DIR of its own.

`python -m embedded manage --data DIR -- ARG…`: `manage.py ARG…`, beside the servers that run in DIR if there are any.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from embedded.command import run_command
from embedded.errors import INTERRUPTED_EXIT, StartError
from embedded.manage import manage
from embedded.servers import running_servers


def main() -> int:
    options = parse_options()
    # A plain exit would leave the servers to the kernel's signal; this way they are stopped in order.
    signal.signal(signal.SIGTERM, exit_on_signal)
    try:
        if options.action == "manage":
            return manage(options.data, options.command)
        with running_servers(options.data, fast=options.fast) as servers:
            return run_command(options.command, {**os.environ, **servers.variables()})
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # while the servers start; the command is told of it by the terminal itself
        return INTERRUPTED_EXIT


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m embedded", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    run = actions.add_parser("run", help="run a command beside servers")
    run.add_argument("--fast", action="store_true", help="synchronous_commit=off, for tests")
    run.add_argument("command", nargs="+", metavar="CMD")
    manage = actions.add_parser("manage", help="run a management command beside servers")
    manage.add_argument("command", nargs="*", metavar="ARG")
    for action in (run, manage):
        action.add_argument("--data", type=Path, required=True, metavar="DIR", help="data folder, made if missing")
    return parser.parse_args()


def exit_on_signal(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
