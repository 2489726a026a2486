"""Keeps services running: starts them in order, starts again what dies, stops all in reverse order."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType

from embedded.errors import StartError
from embedded.service import Service

WATCH_S = 0.1
BACKOFF_FIRST_S = 0.5
# Short, so that the site is back within seconds once a cause that lasts (a full disk) is gone.
BACKOFF_MAX_S = 5.0
STEADY_S = 60.0  # having run this long, a service starts afresh with the shortest backoff
HURRY_S = 1.0


class Supervisor:
    """Services in stages. A stage starts after the one before it and stops before it; within a stage all go at once.

    `say` is given one sentence for each thing that an onlooker should know.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.stages: list[list[Watched]] = []
        self.signals_seen = 0
        self.interrupts = True

    # Signals: until `stop`, one raises KeyboardInterrupt wherever we are; during `stop`, one more means "hurry"

    def catch_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.on_signal)

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.signals_seen += 1
        if self.interrupts:
            raise KeyboardInterrupt

    # Starting

    def spawn(self, services: Sequence[Service]) -> None:
        """Start a stage without waiting for its services to answer."""
        stage: list[Watched] = []
        self.stages.append(stage)
        for service in services:
            stage.append(Watched(service))  # before its start: an interrupt in between must find it
            service.spawn()

    def start(self, services: Sequence[Service]) -> None:
        """Start a stage and wait until all of it answers. Raises StartError."""
        self.spawn(services)
        for service in services:
            service.wait_ready()
            service.after_ready()

    # Watching

    def keep_starting(self) -> None:
        """One round of `watch` while the site starts. Raises StartError if a service has ended by itself.

        That is a failure to be told: it would happen again. One that was killed has nothing to tell, and is started again.
        """
        for watched in self.watched():
            if watched.service.has_failed():
                raise StartError(watched.service.ended_while_starting())
            watched.keep_running(self.say)

    def watch(self) -> None:
        """Start again whatever ends, first stage first. Ends by KeyboardInterrupt, when a signal asks us to stop."""
        while True:
            for watched in self.watched():
                watched.keep_running(self.say)
            time.sleep(WATCH_S)

    def watched(self) -> list[Watched]:
        return [watched for stage in self.stages for watched in stage]

    # Stopping

    def stop(self) -> None:
        """Stop all, last stage first. What does not stop in its time is killed. Never raises for a signal."""
        self.interrupts = False
        first_signals = self.signals_seen
        while self.stages:
            stage = self.stages.pop()
            for watched in stage:
                watched.service.ask_to_stop()
            asked_at = time.monotonic()
            while any(watched.service.is_running() for watched in stage):
                waited_s = time.monotonic() - asked_at
                hurried = self.signals_seen > first_signals and waited_s > HURRY_S
                if hurried or waited_s > max(watched.service.stop_s for watched in stage):
                    break
                time.sleep(0.02)
            for watched in stage:
                watched.service.stop(0)


class Watched:
    """A service, and when it may be started again."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.backoff_s = 0.0
        self.started_at = time.monotonic()
        self.restart_at: float | None = None

    def keep_running(self, say: Callable[[str], None]) -> None:
        if self.service.is_running():
            return
        now = time.monotonic()
        if self.restart_at is None:
            self.plan_restart(now)
            say(f"{self.service.name} {how_it_ended(self.service)}; starting it again in {self.backoff_s:.1f} s.")
        elif now >= self.restart_at:
            self.restart(say)

    def plan_restart(self, now: float) -> None:
        steady = now - self.started_at > STEADY_S
        self.backoff_s = BACKOFF_FIRST_S if steady else min(max(self.backoff_s * 2, BACKOFF_FIRST_S), BACKOFF_MAX_S)
        self.restart_at = now + self.backoff_s

    def restart(self, say: Callable[[str], None]) -> None:
        self.started_at = time.monotonic()
        self.restart_at = None
        try:
            if self.service.others_need_it:
                self.service.start()
            else:
                self.service.spawn()
        except (StartError, OSError) as error:
            # A full disk, say. The next round plans another try; giving up would leave the site down for good.
            say(f"{self.service.name} did not start: {error}")


def how_it_ended(service: Service) -> str:
    code = service.process.returncode if service.process is not None else None
    if code is None:
        return "is not running"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
