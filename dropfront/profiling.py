"""`DROPFRONT_PROFILE=1`: a web process looks at its own threads 200 times a second, and writes down at its end where they were.

Samples are of time that passes, so a thread that waits is seen waiting; what it used of the CPU stands beside its name. The
looking thread gets its turn when another gives the interpreter up, so calls into the system show a little more than they are.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, FrameType

EVERY_S = 0.005
TOP = 25  # functions of a thread that are listed
ROOT = Path(__file__).resolve().parents[1]

# A thread's name, and the functions that it is in, outermost first. By the ids of their code: code itself is slow to hash.
Stack = tuple[str, tuple[int, ...]]


@contextlib.contextmanager
def profiled(name: str) -> Iterator[None]:
    """Profile this process for the block, and write the files at its end, also when SIGTERM ends it."""
    # A server that has obeyed SIGTERM raises it once more when it is done, and its default would end us without the files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    profiler = Profiler()
    profiler.start()
    try:
        yield
    finally:
        profiler.stop()
        profiler.write(folder(), f"{name}-{os.getpid()}")


def folder() -> Path:
    return Path(os.environ.get("DROPFRONT_PROFILE_DIR") or ROOT / ".data" / "profile")


class Profiler(threading.Thread):
    """Counts the stacks of all other threads."""

    def __init__(self) -> None:
        super().__init__(name="profiler", daemon=True)
        self.counts: Counter[Stack] = Counter()
        self.cpu_s: dict[str, float] = {}
        self._codes: dict[int, CodeType] = {}  # keeps them alive, so that an id stays one function's
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(EVERY_S):
            self.sample()

    def stop(self) -> None:
        self._ended.set()
        self.join()
        self.cpu_s = {thread.name: cpu_s(thread) for thread in threading.enumerate()}

    def sample(self) -> None:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            if ident != self.ident:
                self.counts[names.get(ident, "unnamed"), self._stack(frame)] += 1

    def _stack(self, frame: FrameType | None) -> tuple[int, ...]:
        ids = []
        while frame is not None:
            code = frame.f_code
            self._codes.setdefault(id(code), code)
            ids.append(id(code))
            frame = frame.f_back
        return tuple(reversed(ids))

    def stacks(self) -> Counter[tuple[str, ...]]:
        """How often each stack was seen: the thread's name, then functions, outermost first."""
        named: Counter[tuple[str, ...]] = Counter()
        labels = {id: label_of(code) for id, code in self._codes.items()}
        for (thread, ids), count in self.counts.items():
            named[thread, *(labels[id] for id in ids)] += count
        return named

    def write(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        stacks = self.stacks()
        (folder / f"{name}.collapsed").write_text(collapsed(stacks))
        (folder / f"{name}.txt").write_text(top_list(stacks, self.cpu_s))


def label_of(code: CodeType) -> str:
    """`core/lanes.py:Lane._drain`; of a library only the last two parts of its path."""
    path = Path(code.co_filename)
    short = (
        path.relative_to(ROOT) if path.is_relative_to(ROOT) and ".venv" not in path.parts else Path(*path.parts[-2:])
    )
    return f"{short}:{code.co_qualname}".replace(";", ",")  # the format's own separator


def collapsed(stacks: Mapping[tuple[str, ...], int]) -> str:
    """The format of flame graphs: a stack's frames with semicolons between them, and how often it was seen."""
    return "".join(f"{';'.join(stack)} {count}\n" for stack, count in sorted(stacks.items()))


def top_list(stacks: Mapping[tuple[str, ...], int], cpu_s: Mapping[str, float]) -> str:
    """For each thread, busiest first, the functions that were seen most: with all they call, and alone."""
    seen: Counter[str] = Counter()
    inside: dict[str, Counter[str]] = {}
    alone: dict[str, Counter[str]] = {}
    for (thread, *functions), count in stacks.items():
        seen[thread] += count
        inside.setdefault(thread, Counter()).update(dict.fromkeys(functions, count))
        alone.setdefault(thread, Counter()).update({functions[-1]: count})
    lines = []
    for thread in sorted(seen, key=lambda name: -cpu_s.get(name, 0.0)):
        cpu = f"{cpu_s[thread]:.1f} s of CPU" if thread in cpu_s else "ended before"
        lines += [f"{thread}: {seen[thread]:,} samples, {cpu}", "    alone   with calls"]
        for function, count in alone[thread].most_common(TOP):
            share, total = (100 * each / seen[thread] for each in (count, inside[thread][function]))
            lines.append(f"  {share:6.1f} %  {total:6.1f} %  {function}")
        lines.append("")
    return "\n".join(lines)


def cpu_s(thread: threading.Thread) -> float:
    """CPU seconds that a thread has used, where /proc tells it; 0 elsewhere."""
    try:
        stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
    except OSError:
        return 0.0
    return sum(map(int, stat.rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
