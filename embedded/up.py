"""What `bin/up` does once Python and the packages are there: everything that Dropfront is, on this machine.

PostgreSQL and Valkey, tables and demo sales, the web processes, the Celery worker and beat; then watch until Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import http.client
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from embedded import env
from embedded.errors import INTERRUPTED_EXIT, StartError
from embedded.ports import is_loopback, reserved_port
from embedded.relays import relays
from embedded.servers import Servers, locked
from embedded.service import Program, Service
from embedded.supervisor import Supervisor

ROOT = Path(__file__).resolve().parents[1]
DISK_FREE_BYTES_MIN = 300_000_000
DISK_FULL_BYTES = 100_000_000
READY_WITHIN_S = 120.0
PREPARED_WITHIN_S = 300.0  # the demo plays whole sales
NOT_OUR_FAULT = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
ADDRESSES = ("DATABASE_URL", "DATABASE_ENDPOINTS", "DSQL_ENDPOINTS", "REDIS_URL", "SECRET_KEY", "ALLOWED_HOSTS")


def main() -> int:
    options = parse_options()
    os.chdir(ROOT)  # the programs are started with `-m`, which looks here
    site = Site(options)
    try:
        return site.run()
    except StartError as error:
        return fail(str(error), site.data)
    except OSError as error:
        if error.errno not in NOT_OUR_FAULT:
            raise
        return fail(f"{error.strerror}: {error.filename or site.data}.", site.data)


def fail(reason: str, data: Path) -> int:
    # A server that met a full disk may complain of what came of it, so the disk itself is asked too.
    if os.strerror(errno.ENOSPC) in reason or free_bytes(data) < DISK_FULL_BYTES:
        reason = f"The disk is full; free some space and start again ({reason})"
    print(reason, file=sys.stderr)
    return 1


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/up", description="Run Dropfront on this machine, with demo sales.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=port_number, default=8000)
    parser.add_argument("--processes", type=int, default=default_processes(), metavar="N", help="web processes")
    parser.add_argument(
        "--regions",
        type=int,
        default=1,
        choices=(1, 2),
        help="2: two relays before the one PostgreSQL, as two endpoints",
    )
    parser.add_argument("--data", type=Path, default=ROOT / env.DATA_DIR_NAME, metavar="DIR", help="default: .data")
    parser.add_argument("--fresh", action="store_true", help="delete the data first")
    parser.add_argument("--check", action="store_true", help="start all, print one JSON line, stop")
    options = parser.parse_args()
    if options.processes < 1:
        parser.error("--processes must be at least 1")
    return options


def port_number(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError("must be 1 to 65535")
    return port


def default_processes() -> int:
    # One port is spread over processes by Linux only; see dropfront/server.py.
    return 2 if sys.platform == "linux" and len(os.sched_getaffinity(0)) >= 2 else 1


class Site:
    """One run of the whole site."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.data: Path = options.data.resolve()
        self.began_at = time.monotonic()
        self.is_ready = False
        # With --check, standard output belongs to the JSON line.
        self.out = sys.stderr if options.check else sys.stdout
        self.supervisor = Supervisor(self.say)

    def run(self) -> int:
        """Start, then serve until asked to stop. The exit code. Raises StartError, with everything stopped again."""
        self.supervisor.catch_signals()
        with contextlib.suppress(KeyboardInterrupt), locked(self.data):
            if self.options.fresh:
                delete_data(self.data)
            self.check_disk()
            with reserved_port(self.options.host, self.options.port):
                try:
                    self.start()
                    if not self.options.check:
                        self.supervisor.watch()
                finally:
                    self.stop()
        return 0 if self.is_ready else INTERRUPTED_EXIT

    def start(self) -> None:
        servers = Servers(self.data)
        with self.step("PostgreSQL and Valkey" if servers.services else "Servers named by the environment"):
            self.supervisor.start(servers.services)
        os.environ.update(self.variables(servers))
        if self.options.regions > 1:
            self.start_relays(servers)
        env.write(self.data, {name: os.environ[name] for name in ADDRESSES if os.environ.get(name)})
        self.start_programs()
        self.is_ready = True
        if self.options.check:
            print(json.dumps(self.report()), flush=True)
        else:
            self.welcome()

    def start_relays(self, servers: Servers) -> None:
        if servers.postgres is None:
            raise StartError("--regions stands relays before the embedded PostgreSQL; the environment names another.")
        doors = relays(self.options.regions, servers.postgres, self.data)
        with self.step("Relays that stand in for regions"):
            self.supervisor.start(doors)
        os.environ["DATABASE_ENDPOINTS"] = ",".join(door.address for door in doors)

    def variables(self, servers: Servers) -> dict[str, str]:
        metrics = self.data / "metrics"
        shutil.rmtree(metrics, ignore_errors=True)  # counts of processes that are gone
        metrics.mkdir()
        variables = {**servers.variables(), "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
        variables["SITE_ORIGIN"] = os.environ.get("SITE_ORIGIN") or self.url.rstrip("/")
        if os.environ.get("DEBUG") != "1":
            variables["STATIC_ROOT"] = os.environ.get("STATIC_ROOT") or str(self.data / "static")
        if not os.environ.get("EMAIL_HOST"):
            variables["EMAIL_FILE_PATH"] = os.environ.get("EMAIL_FILE_PATH") or str(
                self.data / "mail"
            )  # read at /dev/mail/
        if not is_loopback(self.options.host) and not os.environ.get("ALLOWED_HOSTS"):
            variables["ALLOWED_HOSTS"] = "*"  # we cannot know by which names others reach this machine
        return variables

    def has_newer_files(self) -> bool:
        """Whether a file that pages use is newer than what was made of them (`background.collect_static`)."""
        made = self.data / "static" / "staticfiles.json"
        if not made.exists():
            return True
        ours = (path for folder in [ROOT / "static", *ROOT.glob("*/static")] for path in folder.rglob("*"))
        # The list of packages stands for theirs.
        return any(path.stat().st_mtime > made.stat().st_mtime for path in [*ours, ROOT / "requirements.txt"])

    def start_programs(self) -> None:
        """Web processes and background work: all at once, but at the very first start the web waits for its tables."""
        background = Background(self.data)
        # Web processes look once which files there are.
        must_wait = not background.has_prepared() or self.has_newer_files()
        web = [
            Program(f"web-{slot}", self.data / "logs", self.web_command(slot)) for slot in range(self.options.processes)
        ]
        self.supervisor.spawn([background])
        if must_wait:
            with self.step("Tables and demo sales"):
                self.wait_until(background.has_prepared, PREPARED_WITHIN_S, "the tables were not there")
        with self.step("Web, worker and beat"):
            self.supervisor.spawn(web)
            self.wait_until(background.is_ready, READY_WITHIN_S, "the worker was not ready")
            self.wait_until(self.is_site_ready, READY_WITHIN_S, "/readyz was not green")

    def wait_until(self, condition: Callable[[], bool], within_s: float, complaint: str) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            self.supervisor.keep_starting()
            if time.monotonic() > deadline:
                raise StartError(f"After {within_s:.0f} s {complaint}; the logs are in {self.data / 'logs'}.")
            time.sleep(0.05)
        self.supervisor.keep_starting()

    def web_command(self, slot: int) -> list[str]:
        address = ["--host", self.options.host, "--port", str(self.options.port)]
        return [sys.executable, "-m", "dropfront.server", *address, "--slot", str(slot)]

    def is_site_ready(self) -> bool:
        connection = http.client.HTTPConnection(local_address(self.options.host), self.options.port, timeout=5)
        try:
            connection.request("GET", "/readyz", headers={"Host": "localhost"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        began_at = time.monotonic()
        self.supervisor.stop()
        env.remove(self.data)
        self.say(f"Stopped in {time.monotonic() - began_at:.1f} s. Data stays in {self.data}.")

    # What people read

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        began_at = time.monotonic()
        yield
        self.say(f"  {name:<34}{time.monotonic() - began_at:5.1f} s")

    def welcome(self) -> None:
        self.say(f"\nDropfront is ready after {self.seconds():.1f} s: {self.url}\n")
        logins = self.data / "logins"
        if logins.exists():
            self.say(logins.read_text().rstrip())
        self.say(f"\nLogs are in {self.data / 'logs'}. Ctrl-C stops everything.")

    def report(self) -> dict[str, object]:
        return {
            "url": self.url,
            "readyz": f"{self.url}readyz",
            "database": without_password(os.environ.get("DATABASE_URL") or os.environ.get("DSQL_ENDPOINTS", "")),
            "redis": without_password(os.environ["REDIS_URL"]),
            "processes": self.options.processes,
            "seconds": round(self.seconds(), 2),
        }

    @property
    def url(self) -> str:
        host = local_address(self.options.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.options.port}/"

    def seconds(self) -> float:
        return time.monotonic() - self.began_at

    def say(self, sentence: str) -> None:
        print(sentence, file=self.out, flush=True)

    def check_disk(self) -> None:
        free = free_bytes(self.data)
        if free < DISK_FREE_BYTES_MIN:
            wanted = DISK_FREE_BYTES_MIN // 1_000_000
            raise StartError(f"{self.data} has {free // 1_000_000} MB of disk left and Dropfront needs {wanted} MB.")


class Background(Service):
    """Migrations, demo, worker and beat; see `embedded/background.py`, which imports too much to be imported here."""

    def __init__(self, data: Path) -> None:
        super().__init__("background", data / "logs")
        self.data = data
        self.state = data / "background.state"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "embedded.background", str(self.data)]

    def prepare(self) -> None:
        self.state.unlink(missing_ok=True)

    def has_prepared(self) -> bool:
        return self.state.exists()

    def is_ready(self) -> bool:
        return self.state.exists() and self.state.read_text() == "ready"


def free_bytes(path: Path) -> int:
    """Free space of the disk that holds `path`, which may not exist yet, or be closed to us."""
    try:
        return shutil.disk_usage(path).free
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return free_bytes(path.parent)


def local_address(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - only compared with


def without_password(url: str) -> str:
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@") if password else url


def delete_data(data: Path) -> None:
    for path in data.iterdir():
        if path.name == "lock":
            continue  # we hold it
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


if __name__ == "__main__":
    sys.exit(main())
