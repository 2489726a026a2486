"""What is left of a server that was killed: processes that go on without it and keep the lock on its data.

PostgreSQL's children end by themselves when the postmaster is gone, but only once they wait for something: a query that
computes goes on to its end, minutes perhaps, and no new postmaster may share the data with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from embedded.service import launched


def lock_is_free(path: Path) -> bool:
    done = subprocess.run(launched(["true"], lock=str(path), lock_wait_s=0), capture_output=True, check=False)
    return done.returncode == 0


def kill_holders(lock: Path) -> None:
    """End every process that has `lock` open. Only where there is a /proc: elsewhere nobody is found.

    The open file tells them, not their names or a pid file: a shell that stands in the data folder is left alone.
    """
    for pid in holders(lock):
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # it has just ended, or is another user's, and then the lock stays busy and is told of


def holders(lock: Path) -> list[int]:
    return [int(process.name) for process in Path("/proc").glob("[0-9]*") if has_open(process, str(lock.resolve()))]


def has_open(process: Path, path: str) -> bool:
    try:
        return any(os.readlink(descriptor) == path for descriptor in (process / "fd").iterdir())
    except OSError:
        return False  # it has ended, or is another user's
