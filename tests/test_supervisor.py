"""The supervisor while a site starts: what was killed is started again, what ended by itself is told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.errors import StartError
from embedded.service import Program
from embedded.supervisor import Supervisor

HANGS_AFTER_S = 60.0


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(said: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(said.append)
    yield supervisor
    supervisor.stop()


def program(folder: Path, *argv: str) -> Program:
    return Program("program", folder, argv)


def test_what_was_killed_while_the_site_starts_is_started_again(
    supervisor: Supervisor, said: list[str], tmp_path: Path
) -> None:
    service = program(tmp_path, "sleep", "1000")
    supervisor.spawn([service])
    assert service.process is not None
    os.kill(service.process.pid, signal.SIGKILL)
    service.process.wait()

    give_up_at = time.monotonic() + HANGS_AFTER_S
    while not service.is_running():
        supervisor.keep_starting()
        assert time.monotonic() < give_up_at
        time.sleep(0.01)

    assert said == ["program was killed by SIGKILL; starting it again in 0.5 s."]


@pytest.mark.parametrize("code", [0, 3])
def test_what_ends_by_itself_while_the_site_starts_is_a_failure_with_its_reason(
    supervisor: Supervisor, tmp_path: Path, code: int
) -> None:
    service = program(tmp_path, "sh", "-c", f"echo 'ValueError: no such port' >&2; exit {code}")
    supervisor.spawn([service])
    assert service.process is not None
    service.process.wait()

    with pytest.raises(StartError, match="program ended while starting: ValueError: no such port"):
        supervisor.keep_starting()
