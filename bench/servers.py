"""A scratch stack to measure: PostgreSQL and Valkey of its own, web processes, and the CPU each of them uses.

Everything is durable as in `bin/up` (fsync on), and thrown away afterwards. Linux only: CPU and sockets are read from
/proc.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded.errors import StartError
from embedded.servers import Servers, running_servers
from embedded.service import Program
from embedded.valkey import free_port

ROOT = Path(__file__).resolve().parents[1]
READY_WITHIN_S = 60.0
PRODUCT = "dropfront.server"
TCP_LISTEN = "0A"  # in /proc/net/tcp

# Would lead to somebody's real servers, or change what is measured. Empty, not missing: the settings fill in what is
# missing from a running `bin/up`.
CLEARED = ("DATABASE_URL", "DSQL_ENDPOINTS", "REDIS_URL", "DYNAMODB_TABLE", "DEBUG", "PRODUCTION", "METRICS_TOKEN")


class Stack:
    """The servers of one benchmark run. Made by `scratch_stack`, which sets the environment that all processes get."""

    def __init__(self, servers: Servers) -> None:
        assert servers.postgres is not None, "the benchmark starts its own database"
        assert servers.valkey is not None, "the benchmark starts its own Valkey"
        self.data = servers.data
        self.postgres = servers.postgres
        self.valkey = servers.valkey
        self.metrics_folder = servers.data / "metrics"
        self.metrics_folder.mkdir()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self.metrics_folder)

    @property
    def database_url(self) -> str:
        return self.postgres.url

    def manage(self, *arguments: str) -> None:
        """Run `manage.py` with these arguments. Raises StartError, with what it complained of, when it fails."""
        done = self.run_manage(*arguments)
        if done.returncode != 0:
            raise StartError(complaint(done))

    def manage_json(self, *arguments: str) -> Any:
        """The JSON that `manage.py` prints, whatever its exit code. Raises StartError when it prints none."""
        done = self.run_manage(*arguments, "--json")
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise StartError(complaint(done)) from None

    def run_manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    def in_django(self, module: str, *arguments: float | str) -> Any:
        """What `main` of that module of the benchmark gives, in a process of its own. Raises StartError when it fails."""
        return self.run_part(module, "-m", "bench.in_django", module, *map(json.dumps, arguments))

    def run_part(self, module: str, *command: str) -> Any:
        """The JSON that a Python process prints. Raises StartError when it fails."""
        done = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise StartError(f"The part of the benchmark in `bench/{module}.py` failed; see above.")
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def web(
        self, processes: int, *, server: str = PRODUCT, environment: Mapping[str, str] | None = None
    ) -> Iterator[Web]:
        """That many web processes on one port, ready; stopped afterwards. `server` is the module that they run."""
        for counts in self.metrics_folder.iterdir():  # of processes that are gone
            counts.unlink()
        web = Web(self, processes, free_port(), server)
        try:
            with environ(environment or {}):  # which processes get as they start
                web.start()
            yield web
        finally:
            web.stop()


@contextlib.contextmanager
def scratch_stack(data: Path | None = None) -> Iterator[Stack]:
    """PostgreSQL and Valkey with Dropfront's tables, in `data` or a new folder; that folder is deleted afterwards.

    Not in the system's temporary folder, which may be a memory disk, where fsync costs nothing.
    """
    with scratch_folder(data) as folder:
        os.environ.update(dict.fromkeys(CLEARED, ""))
        os.environ["VIEWERS_PER_ADDRESS_MAX"] = "100000"  # all of a benchmark's viewers have one address
        with running_servers(folder) as servers:
            os.environ.update(servers.variables())
            stack = Stack(servers)
            stack.manage("migrate", "--verbosity", "0")
            yield stack


@contextlib.contextmanager
def environ(values: Mapping[str, str]) -> Iterator[None]:
    """Variables that are set for the block alone."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def scratch_folder(data: Path | None) -> Iterator[Path]:
    if data is None:
        parent = ROOT / ".data"
        parent.mkdir(exist_ok=True)
        data = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    elif data.exists():
        raise StartError(f"{data} exists; name a folder that may be made and deleted.")
    try:
        yield data
    finally:
        shutil.rmtree(data, ignore_errors=True)


class Web:
    """Web processes that share a port."""

    def __init__(self, stack: Stack, processes: int, port: int, server: str) -> None:
        self.stack = stack
        self.port = port
        command = [sys.executable, "-m", server, "--port", str(port), "--slot"]
        self.programs = [
            Program(f"{server}-{slot}", stack.data / "logs", [*command, str(slot)]) for slot in range(processes)
        ]

    def start(self) -> None:
        for program in self.programs:
            program.spawn()
        self.wait_until(lambda: listeners(self.port) == len(self.programs), "listen")
        self.wait_until(lambda: self.get("/readyz")[0] == http.HTTPStatus.OK, "become ready")

    def wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while not is_so():
            for program in self.programs:
                if not program.is_running():
                    raise StartError(program.ended_while_starting())
            if time.monotonic() > deadline:
                raise StartError(f"The web processes did not {what} within {READY_WITHIN_S:.0f} s.")
            time.sleep(0.05)

    def stop(self) -> None:
        for program in self.programs:
            program.ask_to_stop()
        for program in self.programs:
            program.stop()

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metrics(self) -> Metrics:
        """What the processes have counted so far, all added up."""
        status, text = self.get("/metrics")
        assert status == http.HTTPStatus.OK, status
        return Metrics.parse(text)

    def cpu_s(self) -> Cpu:
        """CPU seconds used so far by each group of processes."""
        return Cpu(
            web=sum(tree_cpu_s(pid_of(program)) for program in self.programs),
            postgres=tree_cpu_s(pid_of(self.stack.postgres)),
            valkey=tree_cpu_s(pid_of(self.stack.valkey)),
            machine=machine_cpu_s(),
        )


@dataclass(frozen=True)
class Cpu:
    """CPU seconds, spent in programs and for them in the system."""

    web: float
    postgres: float
    valkey: float
    machine: float  # everything that runs on it, and what its host took away
    client: float = 0.0

    def since(self, before: Cpu, *, client: float) -> Cpu:
        return Cpu(
            web=self.web - before.web,
            postgres=self.postgres - before.postgres,
            valkey=self.valkey - before.valkey,
            machine=self.machine - before.machine,
            client=client,
        )

    @property
    def others(self) -> float:
        """What had nothing to do with the benchmark."""
        return max(0.0, self.machine - self.web - self.postgres - self.valkey - self.client)


class Metrics(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """Samples of Prometheus' text format: (name, labels) → value."""

    @classmethod
    def parse(cls, text: str) -> Metrics:
        samples = cls()
        for line in text.splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if found:
                labels = frozenset(re.findall(r'(\w+)="([^"]*)"', found[2] or ""))
                samples[(found[1], labels)] = float(found[3])
        return samples

    def since(self, before: Metrics) -> Metrics:
        return Metrics({key: value - before.get(key, 0.0) for key, value in self.items()})

    def total(self, name: str, /, **labels: str) -> float:
        """The sum of all samples of that name that carry these labels."""
        return sum(
            value for (found, carried), value in self.items() if found == name and carried >= set(labels.items())
        )

    def buckets(self, name: str, /, **labels: str) -> list[tuple[float, float]]:
        """A histogram as (upper bound, count up to it), smallest bound first."""
        counts: dict[float, float] = {}
        for (found, carried), value in self.items():
            if found == f"{name}_bucket" and carried >= set(labels.items()):
                bound = float(dict(carried)["le"])
                counts[bound] = counts.get(bound, 0.0) + value
        return sorted(counts.items())


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """One sentence: which command, and the last line it wrote."""
    lines = (done.stderr.strip() or done.stdout.strip() or "it printed nothing").splitlines()
    return f"`manage.py {done.args[2]}` failed: {lines[-1]}"


def pid_of(program: Any) -> int:
    assert program.process is not None, program.name
    pid: int = program.process.pid
    return pid


def listeners(port: int) -> int:
    """How many sockets of this machine listen on that port. One that is bound and not yet listening does not count."""
    wanted = f":{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(wanted) and row[3] == TCP_LISTEN for row in rows)


def tree_cpu_s(pid: int) -> float:
    """CPU seconds of a process, of its children that ended, and of its descendants that run."""
    ticks = 0
    for each in [pid, *descendants(pid)]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile; its parent now counts it
            ticks += sum(int(field) for field in stat_fields(each)[11:15])  # utime, stime, cutime, cstime
    return ticks / os.sysconf("SC_CLK_TCK")


def machine_cpu_s() -> float:
    """CPU seconds since the machine started in which a core was not idle, all cores together."""
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                children.setdefault(int(stat_fields(int(entry.name))[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def stat_fields(pid: int) -> list[str]:
    """/proc/PID/stat from the state on: the name before it may hold spaces and brackets."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
