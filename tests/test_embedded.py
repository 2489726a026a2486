"""The embedded servers: they start, keep what was committed through `kill -9`, and leave nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from embedded import env
from embedded.errors import StartError
from embedded.postgres import SOCKET_DIR_BYTES_MAX, Postgres, socket_dir_for
from embedded.servers import Servers, locked, running_servers
from embedded.valkey import Valkey

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def data() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="dropfront-embedded-"))
    folder.chmod(0o711)  # as root, PostgreSQL runs as nobody, who must be able to pass
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def no_servers_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite itself runs beside embedded servers, which are named in its environment."""
    for name in ("DATABASE_URL", "DSQL_ENDPOINTS", "REDIS_URL", "SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def start_postgres(data: Path) -> Iterator[Callable[..., Postgres]]:
    started: list[Postgres] = []

    def start(**options: bool) -> Postgres:
        data.mkdir(exist_ok=True)
        server = Postgres(data, **options)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


def wait_until(condition: Callable[[], bool], within_s: float = 120.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def processes_in(folder: Path) -> list[int]:
    """Processes that work in `folder` or name it on their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace")
            place = os.readlink(process / "cwd")
        except OSError:
            continue  # it has ended
        if str(folder) in words or place.startswith(str(folder)):
            found.append(int(process.name))
    return found


def count_rows(server: Postgres) -> int:
    with psycopg.connect(server.url) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
        assert row is not None
        return int(row[0])


def test_postgres_starts_durable_and_at_the_isolation_of_dsql(start_postgres: Callable[..., Postgres]) -> None:
    server = start_postgres()

    with psycopg.connect(server.url) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]
            for name in ("fsync", "full_page_writes", "synchronous_commit", "transaction_isolation", "timezone")
        }

    assert shown == {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "transaction_isolation": "repeatable read",
        "timezone": "UTC",
    }
    assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700


def test_a_committed_row_survives_kill_9_of_the_postmaster(start_postgres: Callable[..., Postgres]) -> None:
    server = start_postgres()
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept (id integer PRIMARY KEY)")
        connection.execute("INSERT INTO kept VALUES (1)")

    assert server.process is not None
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    server.start()  # at once, while the old server's children are still dying

    assert count_rows(server) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="finds leftover processes through /proc")
def test_a_query_that_outlives_the_postmaster_does_not_keep_the_next_one_from_starting(
    start_postgres: Callable[..., Postgres],
) -> None:
    server = start_postgres(fast=True)
    endless = psycopg.connect(server.url)
    # It computes and never waits, so it does not notice that the postmaster is gone.
    endless.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b")
    backend = endless.info.backend_pid
    wait_until(lambda: b"SELECT" in Path(f"/proc/{backend}/cmdline").read_bytes())

    assert server.process is not None
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    server.start()

    assert server.is_ready()
    endless.close()


def test_postgres_starts_beside_a_stale_pid_file_and_socket(start_postgres: Callable[..., Postgres]) -> None:
    server = start_postgres()
    server.stop()
    pid_file = server.cluster / "postmaster.pid"
    # The pid of a process that lives: PostgreSQL alone would take it for its own predecessor.
    pid_file.write_text(f"{os.getpid()}\n{server.cluster}\n1\n5432\n{server.socket_dir}\n\n  1 1\nready\n")
    (server.socket_dir / ".s.PGSQL.5432").touch()
    (server.socket_dir / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")

    server.start()

    assert server.is_ready()


def test_postgres_begins_again_where_a_first_start_was_killed(
    start_postgres: Callable[..., Postgres], data: Path
) -> None:
    half_made = data / "postgres.new"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")

    assert start_postgres(fast=True).is_ready()
    assert not half_made.exists()


def test_postgres_refuses_data_of_another_version_in_a_sentence(
    start_postgres: Callable[..., Postgres], data: Path
) -> None:
    (data / "postgres").mkdir(parents=True)
    (data / "postgres" / "PG_VERSION").write_text("15\n")

    with pytest.raises(StartError, match="was written by PostgreSQL 15 and this is PostgreSQL 18"):
        start_postgres()


def test_a_long_data_path_gets_a_short_socket_folder(data: Path) -> None:
    long_path = data / ("x" * 100)

    assert len(os.fsencode(socket_dir_for(long_path))) <= SOCKET_DIR_BYTES_MAX
    assert socket_dir_for(long_path) != socket_dir_for(long_path / "y")
    assert socket_dir_for(Path("/srv/shop")) == Path("/srv/shop/run")


def test_a_socket_folder_of_somebody_else_is_refused(data: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a folder that belongs to somebody else")
    (data / "run").mkdir(parents=True)
    os.chown(data / "run", 12345, 12345)

    with pytest.raises(StartError, match="belongs to somebody else"):
        Postgres(data).prepare()


def test_a_folder_nobody_may_enter_still_works_for_root(start_postgres: Callable[..., Postgres], data: Path) -> None:
    if os.geteuid() != 0 or not hasattr(os, "sched_getaffinity"):
        pytest.skip("needs root on Linux: others run PostgreSQL as themselves")
    data.mkdir(mode=0o700)

    server = start_postgres(fast=True)

    assert server.identity == {"namespace": True}
    assert server.is_ready()


def test_valkey_keeps_its_data_through_kill_9(data: Path) -> None:
    server = Valkey(data)
    server.start()
    try:
        redis.Redis.from_url(server.url).set("kept", "yes")
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        server.start()
        assert redis.Redis.from_url(server.url).get("kept") == b"yes"
    finally:
        server.stop()


def test_valkey_wants_its_password(data: Path) -> None:
    server = Valkey(data)
    server.start()
    try:
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=server.port, retry=None).ping()
        assert stat.S_IMODE((server.folder / "valkey.conf").stat().st_mode) == 0o600
    finally:
        server.stop()


def test_valkey_takes_another_port_when_its_own_is_gone(data: Path) -> None:
    other = Valkey(data.with_name("other"))
    other.start()
    server = Valkey(data)
    server.port = other.port
    try:
        server.start()
        assert server.port != other.port
        assert redis.Redis.from_url(server.url).ping()
    finally:
        server.stop()
        other.stop()


@pytest.mark.usefixtures("no_servers_given")
def test_servers_stop_with_the_block_and_leave_no_process(data: Path) -> None:
    with running_servers(data, fast=True) as servers:
        variables = servers.variables()
        with psycopg.connect(variables["DATABASE_URL"]) as connection:
            assert connection.info.dbname == "dropfront"
        assert redis.Redis.from_url(variables["REDIS_URL"]).ping()
        assert len(variables["SECRET_KEY"]) > 50

    assert processes_in(data) == []


def test_a_server_that_is_named_already_is_not_started(data: Path) -> None:
    given = {"DSQL_ENDPOINTS": "a.example,b.example", "REDIS_URL": "redis://cache.example/0", "SECRET_KEY": "s"}

    servers = Servers(data, given=given)

    assert servers.services == []
    assert servers.variables() == {}


def test_one_data_folder_serves_one_run_at_a_time(data: Path) -> None:
    with (
        locked(data),
        pytest.raises(StartError, match=rf"in use by another run \(process {os.getpid()}\)"),
        locked(data),
    ):
        pass

    with locked(data):
        pass


@pytest.mark.usefixtures("no_servers_given")
def test_run_exits_with_the_code_of_its_command(data: Path) -> None:
    script = "import os, sys; sys.exit(7 if os.environ['DATABASE_URL'] and os.environ['REDIS_URL'] else 1)"

    assert run_beside_servers(data, [sys.executable, "-c", script]).wait(120) == 7
    assert processes_in(data) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
@pytest.mark.usefixtures("no_servers_given")
def test_kill_9_of_run_takes_servers_and_command_down(data: Path) -> None:
    marker = data.with_name("started")
    run = run_beside_servers(data, ["sh", "-c", f"touch {marker}; exec sleep 60"])
    wait_until(marker.exists)
    assert processes_in(data)

    run.kill()
    run.wait()

    wait_until(lambda: processes_in(data) == [])


def run_beside_servers(data: Path, command: list[str]) -> subprocess.Popen[bytes]:
    run = [sys.executable, "-m", "embedded", "run", "--fast", "--data", str(data), "--", *command]
    return subprocess.Popen(run, cwd=ROOT)


def test_env_file_fills_only_what_is_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".data").mkdir()
    env.write(tmp_path / ".data", {"DROPFRONT_TEST_A": "from=file", "DROPFRONT_TEST_B": "from file"})
    monkeypatch.setenv("DROPFRONT_TEST_A", "set")
    monkeypatch.setenv("DROPFRONT_TEST_B", "")
    monkeypatch.delenv("DROPFRONT_TEST_B")

    env.load(tmp_path)

    assert os.environ["DROPFRONT_TEST_A"] == "set"
    assert os.environ["DROPFRONT_TEST_B"] == "from file"
    assert stat.S_IMODE((tmp_path / ".data" / "env").stat().st_mode) == 0o600


def test_without_an_env_file_nothing_happens(tmp_path: Path) -> None:
    before = dict(os.environ)

    env.load(tmp_path)

    assert dict(os.environ) == before


def test_the_secret_key_is_made_once_and_private(tmp_path: Path) -> None:
    key = env.secret_key(tmp_path)

    assert env.secret_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
