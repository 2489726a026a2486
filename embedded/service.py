"""One child process: started through `launch.py`, its output in a log file, stopped by signal, then by force."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from embedded.errors import StartError

LAUNCH = Path(__file__).with_name("launch.py")
LOG_BYTES_MAX = 5_000_000
POLL_S = 0.02


def launched(command: Sequence[str], *, death_signal: signal.Signals = signal.SIGKILL, **options: Any) -> list[str]:
    """`command` wrapped in `launch.py`; see there for `options`. Raises StartError if there is no such program.

    Linux ties a child to the *thread* that made it: start children from a thread that lives as long as they should.
    """
    program = shutil.which(command[0])
    if program is None:
        raise StartError(f"There is no program {command[0]}.")
    settings = {"parent": os.getpid(), "death_signal": int(death_signal), **options}
    return [sys.executable, "-I", "-S", str(LAUNCH), json.dumps(settings), program, *command[1:]]


def likely_cause(output: str) -> str:
    """The line that most likely says why a program failed: hints, positions and clean-up may follow it."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    causes = [line for line in lines if re.search(r"Error\b|Exception\b|error:|FATAL|PANIC", line)]
    disk_full = [line for line in lines if os.strerror(errno.ENOSPC) in line]
    return (disk_full or causes or lines or ["it gave no reason"])[-1]


class Service:
    """A child process that can be started again and again. Subclasses say how to prepare it and when it is ready."""

    name: str
    stop_signal = signal.SIGTERM
    # What the kernel sends when we die without stopping it. Killing is right for whatever keeps nothing in memory.
    death_signal = signal.SIGKILL
    stop_s = 10.0
    ready_s = 30.0
    # A server that the others cannot do without is waited for when it is started again.
    others_need_it = False

    def __init__(self, name: str, log_dir: Path) -> None:
        self.name = name
        self.log_path = log_dir / f"{name}.log"
        self.log_began_at = 0  # what stands before is of earlier starts
        self.process: subprocess.Popen[bytes] | None = None

    # What subclasses fill in

    def command(self) -> list[str]:
        raise NotImplementedError

    def launch_options(self) -> dict[str, Any]:
        return {}

    def prepare(self) -> None:
        """Called before each start, also after a crash."""

    def is_ready(self) -> bool:
        return True

    def after_ready(self) -> None:
        """Called once the service answers; raise StartError if it is not as it must be."""

    # What supervisors call

    def start(self) -> None:
        """Start and wait until it answers. Raises StartError, with nothing left running."""
        self.spawn()
        try:
            self.wait_ready()
            self.after_ready()
        except BaseException:
            self.stop()
            raise

    def spawn(self) -> None:
        assert not self.is_running(), f"{self.name} is running already"
        self.prepare()
        options = {"death_signal": self.death_signal, **self.launch_options()}
        with self.open_log() as log:
            self.process = subprocess.Popen(
                launched(self.command(), **options),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor, which then stops all in order
            )

    def wait_ready(self) -> None:
        deadline = time.monotonic() + self.ready_s
        while not self.is_ready():
            if not self.is_running():
                raise StartError(self.ended_while_starting())
            if time.monotonic() > deadline:
                cause = likely_cause(self.log_tail())
                raise StartError(
                    f"{self.name} did not answer within {self.ready_s:.0f} s: {cause} (see {self.log_path})"
                )
            time.sleep(POLL_S)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def has_failed(self) -> bool:
        """Whether it ended by itself rather than by a signal."""
        code = None if self.process is None else self.process.poll()
        return code is not None and code >= 0

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)

    def stop(self, within_s: float | None = None) -> None:
        """Ask it to stop, wait, then kill it and what it started. Safe to call on a service that is not running."""
        if self.process is None:
            return
        self.ask_to_stop()
        try:
            self.process.wait(self.stop_s if within_s is None else within_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        assert self.process is not None
        # The group, not the process: a killed parent cannot stop its own children.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def open_log(self) -> IO[bytes]:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES_MAX:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        log = self.log_path.open("ab")
        self.log_began_at = log.tell()
        return log

    def ended_while_starting(self) -> str:
        return f"{self.name} ended while starting: {likely_cause(self.log_tail())} (see {self.log_path})"

    def log_tail(self, size: int = 4096) -> str:
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as file:
            file.seek(max(self.log_began_at, self.log_path.stat().st_size - size))
            return file.read().decode(errors="replace")


class Program(Service):
    """A service that needs no preparation, such as a web process."""

    def __init__(self, name: str, log_dir: Path, argv: Sequence[str]) -> None:
        super().__init__(name, log_dir)
        self.argv = list(argv)

    def command(self) -> list[str]:
        return self.argv
