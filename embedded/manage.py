"""`bin/manage`: a management command beside the servers of a running `bin/up`, or else beside ones started for it alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from embedded import env
from embedded.command import run_command
from embedded.errors import InUse
from embedded.postgres import find_binaries
from embedded.servers import running_servers

ROOT = Path(__file__).resolve().parents[1]


def manage(data: Path, arguments: Sequence[str]) -> int:
    """The command's exit code. Raises StartError if there are no servers to be had."""
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    try:
        with running_servers(data) as servers:
            addresses = servers.variables()
            env.write(data, addresses)  # for a second command, beside a shell that is open; and no stale one is read
            try:
                return run_command(command, surroundings(addresses))
            finally:
                env.remove(data)
    except InUse:
        addresses = env.read(data)
        if not addresses:
            raise  # it is starting or stopping
    return run_command(command, surroundings(addresses))


def surroundings(addresses: Mapping[str, str]) -> dict[str, str]:
    """The command's environment: what a person has set wins. `dbshell` finds our psql where there is no other."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(find_binaries())])
    unset = {name: value for name, value in addresses.items() if not os.environ.get(name)}
    return {**os.environ, **unset, "PATH": path}
