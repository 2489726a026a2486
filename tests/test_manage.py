"""`bin/manage` as a person meets it: servers are there when a command needs them, and gone with it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.orphans import lock_is_free
from embedded.servers import locked

ROOT = Path(__file__).resolve().parents[1]
GIVEN_BY_THE_SUITE = ("DATABASE_URL", "DATABASE_ENDPOINTS", "DSQL_ENDPOINTS", "REDIS_URL", "SECRET_KEY")
ADDRESSES = "import os; print(os.environ['DATABASE_URL'], os.environ['REDIS_URL'], flush=True)"
SHELL = ("shell", "--no-imports")


@pytest.fixture
def data() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="dropfront-manage-"))
    folder.chmod(0o711)  # as root, PostgreSQL runs as nobody, who must be able to pass
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


def start(data: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "embedded", "manage", "--data", str(data), "--", *arguments],
        cwd=ROOT,
        # Empty, not missing: settings fill in what is missing from a running `bin/up`.
        env={**os.environ, **dict.fromkeys(GIVEN_BY_THE_SUITE, "")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal of its own, so that Ctrl-C can be sent to all of it
    )


def manage(data: Path, *arguments: str, typed: str = "") -> tuple[int, str, str]:
    """Exit code, output, complaints."""
    process = start(data, *arguments)
    out, err = process.communicate(typed)
    return process.returncode, out.strip(), err


def has_stopped(data: Path) -> bool:
    return lock_is_free(data / "postgres.lock") and lock_is_free(data / "valkey.lock") and not (data / "env").exists()


def test_tables_made_by_one_command_are_there_for_the_next(data: Path) -> None:
    code, _, err = manage(data, "migrate", "contenttypes")
    assert code == 0, err

    count = "from django.contrib.contenttypes.models import ContentType as T; print('types', T.objects.count() > 0)"
    code, out, err = manage(data, *SHELL, typed=count)

    assert (code, out) == (0, "types True"), err
    assert has_stopped(data)


def test_the_exit_code_is_the_commands(data: Path) -> None:
    assert manage(data, *SHELL, "-c", "raise SystemExit(7)")[0] == 7


def test_a_second_command_uses_the_servers_of_the_first(data: Path) -> None:
    first = start(data, *SHELL, "-c", f"{ADDRESSES}; input()")
    try:
        assert first.stdout is not None
        addresses = first.stdout.readline().strip()
        code, out, err = manage(data, *SHELL, "-c", ADDRESSES)
    finally:
        first.communicate("\n")

    assert (code, out) == (0, addresses), err
    assert first.returncode == 0
    assert has_stopped(data)


def test_beside_a_site_that_is_only_starting_it_refuses_in_a_sentence(data: Path) -> None:
    with locked(data):
        code, out, err = manage(data, "check")

    assert (code, out) == (1, "")
    assert err == f"{data} is in use by another run (process {os.getpid()}); stop that one first.\n"


def test_ctrl_c_ends_the_command_and_then_the_servers(data: Path) -> None:
    process = start(data, *SHELL, "-c", f"{ADDRESSES}; import time; time.sleep(1000)")
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    process.communicate()

    assert process.returncode == 130
    assert has_stopped(data)
