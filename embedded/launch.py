"""Becomes another program after setting what only a child can set for itself.

Run as `python -I -S launch.py OPTIONS_JSON PROGRAM ARGUMENTS`, with a full path. A small program rather than
`preexec_fn`, which may deadlock in a parent that has threads. It imports nothing once it has changed user: the new one
may not be allowed to read this Python. Options:

- `parent`: pid that must still be our parent (it may have died before PR_SET_PDEATHSIG was in force).
- `death_signal`: the kernel sends us this when the parent dies, however it dies (Linux only).
- `lock`, `lock_wait_s`: hold this file's lock for as long as the program *or any of its children* lives. A crashed
  server's last children keep the lock, so its successor waits for them instead of sharing a data directory with them.
- `uid`, `gid`: become this user first (PostgreSQL refuses to run as root).
- `namespace`: instead, enter a user namespace in which root's files belong to an ordinary user.
"""

import ctypes
import fcntl
import json
import os
import signal
import sys
import time
from typing import Any

LOCK_BUSY_EXIT = 75  # EX_TEMPFAIL of sysexits.h: try again later
PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
NAMESPACE_UID = 65534


def main(argv: list[str]) -> None:
    options: dict[str, Any] = json.loads(argv[1])
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # our parent may ignore it, and that would be inherited
    follow_parent(signal.SIGKILL, options["parent"])
    if "lock" in options:
        hold_lock(options["lock"], options["lock_wait_s"])
    if options.get("namespace"):
        enter_user_namespace()
    elif "uid" in options:
        os.setgroups([])
        os.setgid(options["gid"])
        os.setuid(options["uid"])
    # Again: the kernel forgets the signal when the user changes.
    follow_parent(options["death_signal"], options["parent"])
    os.execv(argv[2], argv[2:])  # noqa: S606 - no shell is what we want


def follow_parent(death_signal: int, parent: int) -> None:
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone")


def hold_lock(path: str, wait_s: float) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.stderr.write(f"processes of an earlier run still hold {path}\n")
                sys.exit(LOCK_BUSY_EXIT)
            time.sleep(0.02)
    os.set_inheritable(descriptor, True)


def enter_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    for name, text in (
        ("setgroups", "deny"),  # the kernel wants this before an ordinary process may map its group
        ("uid_map", f"{NAMESPACE_UID} {uid} 1"),
        ("gid_map", f"{NAMESPACE_UID} {gid} 1"),
    ):
        with open("/proc/self/" + name, "w") as file:
            file.write(text)


if __name__ == "__main__":
    main(sys.argv)
