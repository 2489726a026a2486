"""`bin/up` as a person meets it: one command starts all, refusals are sentences, nothing is left behind."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HANGS_AFTER_S = 300.0  # how quick anything is depends on the machine; this only ends a test that would wait for ever
GIVEN_BY_THE_SUITE = ("DATABASE_URL", "DSQL_ENDPOINTS", "REDIS_URL", "SECRET_KEY")

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc"),
    pytest.mark.xdist_group("bin/up"),  # one site at a time is enough for a small machine
]


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """One data folder for all tests here: the first start makes it, the others are second starts."""
    folder = Path(tempfile.mkdtemp(prefix="dropfront-up-"))
    folder.chmod(0o711)  # as root, PostgreSQL runs as nobody, who must be able to pass
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


def start_up(data: Path, *options: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in GIVEN_BY_THE_SUITE}
    return subprocess.Popen(
        [sys.executable, ROOT / "bin" / "up", "--data", str(data), *options],
        env={**inherited, "DROPFRONT_PYTHON": sys.executable, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refusal(data: Path, *options: str) -> str:
    up = start_up(data, *options)
    out, err = up.communicate(timeout=HANGS_AFTER_S)
    assert up.returncode == 1
    assert out == ""
    assert "Traceback" not in err
    return err.strip()


def read_until(up: subprocess.Popen[str], words: str) -> str:
    """What it says until a line with `words`, or its end."""
    assert up.stdout is not None
    said = ""
    for line in up.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(said + up.communicate()[1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def status_of(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def processes_of(data: Path) -> dict[int, str]:
    """Every process of the site: it works in the data folder, names it, or has it in its environment."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            facts = words + os.readlink(process / "cwd") + (process / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue  # it has ended
        if str(data) in facts:
            found[int(process.name)] = words
    return found


def pids_of(data: Path, words: str) -> list[int]:
    return sorted(pid for pid, command in processes_of(data).items() if words in command)


def has_another(data: Path, words: str, than: list[int]) -> bool:
    return not set(pids_of(data, words)) <= set(than)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + HANGS_AFTER_S
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen: {what}"
        time.sleep(0.05)


def check(data: Path) -> dict[str, object]:
    up = start_up(data, "--check", "--port", str(free_port()))
    out, err = up.communicate(timeout=HANGS_AFTER_S)
    assert up.returncode == 0, err
    assert processes_of(data) == {}
    report: dict[str, object] = json.loads(out)  # the one line on standard output
    return report


def test_check_starts_all_prints_json_and_leaves_no_process(data: Path) -> None:
    first = check(data)
    second = check(data)

    print(f"first start {first['seconds']} s, second start {second['seconds']} s")
    assert str(first["url"]).startswith("http://127.0.0.1:")
    assert str(first["database"]).startswith("postgresql://")
    assert ":***@" in str(first["redis"])
    assert not (data / "env").exists()


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_in_use_is_refused_in_a_sentence(data: Path, family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as other:
        # As willing to share as a socket can be: we must not.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((host, 0))
        other.listen()
        port = other.getsockname()[1]

        assert refusal(data, "--port", str(port)) == (
            f"Port {port} is in use on {host} by another program; stop it, or choose another with --port."
        )


def test_the_site_heals_refuses_a_twin_and_stops_on_ctrl_c(data: Path) -> None:
    port = free_port()
    up = start_up(data, "--port", str(port), "--processes", "2")
    try:
        # Not before: of a site that starts, a database that dies takes the migration under way with it.
        said = read_until(up, "Dropfront is ready")
        assert "in use by another run" in refusal(data, "--port", str(free_port()))
        assert "is in use" in refusal(data.with_name("other"), "--port", str(port))

        for victim in ("dropfront.server", "postgres -D", "valkey-server", "embedded.background"):
            before = pids_of(data, victim)
            os.kill(before[0], signal.SIGKILL)
            wait_until(lambda v=victim, before=before: has_another(data, v, before), f"{victim} is started again")
        wait_until(lambda: status_of(port, "/readyz") == 200, "the site is ready again")

        up.send_signal(signal.SIGINT)
        out, err = up.communicate(timeout=HANGS_AFTER_S)
    finally:
        up.kill()
    assert up.returncode == 0, err
    assert "was killed by SIGKILL; starting it again" in said + out
    assert "Stopped in" in out
    assert "Traceback" not in err
    assert processes_of(data) == {}


def test_a_web_process_that_is_killed_while_the_site_starts_is_started_again(data: Path) -> None:
    port = free_port()
    up = start_up(data, "--port", str(port), "--processes", "2")
    try:
        # By its number: what a process starts for a moment has its words too.
        wait_until(
            lambda: bool(pids_of(data, "dropfront.server") and pids_of(data, "--slot 0")), "a web process is there"
        )
        before = pids_of(data, "--slot 0")
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: has_another(data, "--slot 0", before), "it is started again")
    finally:
        up.send_signal(signal.SIGINT)
        out, err = up.communicate(timeout=HANGS_AFTER_S)
    assert "was killed by SIGKILL; starting it again" in out
    assert "ended while starting" not in err


def test_kill_9_of_the_supervisor_leaves_no_process_and_the_next_start_recovers(data: Path) -> None:
    port = free_port()
    up = start_up(data, "--port", str(port))
    wait_until(lambda: (data / "env").exists() and status_of(port, "/readyz") == 200, "the site is ready")

    up.kill()
    up.communicate()

    wait_until(lambda: processes_of(data) == {}, "all processes are gone")
    check(data)


def test_a_full_disk_is_refused_in_a_sentence(data: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = data.with_name("disk")
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount a small disk")
    try:
        assert "of disk left and Dropfront needs 300 MB." in refusal(disk / "data", "--port", str(free_port()))
    finally:
        subprocess.run(["umount", disk], check=True)


def test_an_old_python_is_refused_in_a_sentence() -> None:
    script = """
import sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import _bootstrap
sys.version_info = (3, 8, 2)
_bootstrap.require_python()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, ROOT / "bin"],
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == "Dropfront needs Python 3.11 or newer; this is 3.8.\n"


def test_a_folder_that_cannot_be_made_is_refused_in_a_sentence(data: Path) -> None:
    data.parent.joinpath("file").touch()

    assert "file" in refusal(data.parent / "file" / "data")
