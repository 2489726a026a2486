"""`DROPFRONT_PROFILE=1`: a web process samples what its threads do while they use the CPU, and writes it down when it ends.

Linux only. Timers of CPU time make the samples: one interrupts the main thread in the middle of its work, the other wakes a thread
that looks at the rest. Looking by the clock would not do: whoever looks gets a turn at the interpreter mostly when others wait, and
sees them waiting. What is left of that: work of another thread that ends before it is seen counts for where that thread waits next.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, FrameType

EVERY_S = 0.005  # of CPU time, of all threads together
# After so long a thread gives the interpreter to one that asks; after the usual 5 ms a batch of a lane would be over.
TURN_S = 0.00005
PRIORITY = -20
TIMERS = (signal.ITIMER_PROF, signal.ITIMER_VIRTUAL)  # of SIGPROF and SIGVTALRM
TOP = 25  # functions of a thread that are listed
ROOT = Path(__file__).resolve().parents[1]

# A thread's name, and the functions that it is in, outermost first. By the ids of their code: code itself is slow to hash.
Stack = tuple[str, tuple[int, ...]]


@contextlib.contextmanager
def profiled(name: str) -> Iterator[None]:
    """Profile this process for the block, and write the files at its end, also when SIGTERM ends it.

    Begin in the main thread, before others are made: they inherit that they do not take the sampler's signal.
    """
    # A server that has obeyed SIGTERM raises it once more when it is done, and its default would end us without the files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    profiler = Profiler()
    turn_s = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    profiler.start()
    try:
        yield
    finally:
        profiler.stop()
        sys.setswitchinterval(turn_s)
        profiler.write(folder(), f"{name}-{os.getpid()}")


def folder() -> Path:
    return Path(os.environ.get("DROPFRONT_PROFILE_DIR") or ROOT / ".data" / "profile")


class Profiler(threading.Thread):
    """Adds up the CPU time of each stack of all other threads, in microseconds."""

    def __init__(self) -> None:
        super().__init__(name="profiler", daemon=True)
        self.used_us: Counter[Stack] = Counter()
        self._cpu_ns: dict[int, int] = {}  # by a thread's ident
        self._codes: dict[int, CodeType] = {}  # keeps them alive, so that an id stays one function's
        self._has_ended = False

    def start(self) -> None:
        signal.signal(signal.SIGPROF, lambda _, frame: self.sample_main(frame))
        signal.siginterrupt(signal.SIGPROF, False)
        signal.signal(signal.SIGVTALRM, lambda *_: None)  # where it is not blocked; its default would end us
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGVTALRM})
        super().start()
        for thread in threading.enumerate():
            self._used_us(thread)  # what was used before is not counted
        for timer in TIMERS:
            signal.setitimer(timer, EVERY_S, EVERY_S)

    def stop(self) -> None:
        for timer in TIMERS:
            signal.setitimer(timer, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        self._has_ended = True
        os.kill(os.getpid(), signal.SIGVTALRM)  # wakes the sampler
        self.join()

    def run(self) -> None:
        with contextlib.suppress(OSError):  # not everybody may; on a machine that is not busy it makes no difference
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), PRIORITY)
        while signal.sigwait({signal.SIGVTALRM}) and not self._has_ended:
            self.sample_others()

    def sample_main(self, frame: FrameType | None) -> None:
        """`frame` is where the signal found it."""
        self._count(threading.main_thread(), frame)

    def sample_others(self) -> None:
        frames = sys._current_frames()
        for thread in threading.enumerate():
            if thread is not self and thread is not threading.main_thread():
                self._count(thread, frames.get(thread.ident or 0))

    def _count(self, thread: threading.Thread, frame: FrameType | None) -> None:
        """The time since the last sample counts for where the thread is now."""
        used_us = self._used_us(thread)
        if used_us and frame is not None:
            self.used_us[thread.name, self._stack(frame)] += used_us

    def _used_us(self, thread: threading.Thread) -> int:
        """The CPU time that a thread has used since the last sample."""
        assert thread.ident is not None
        all_ns = cpu_ns(thread)
        used_ns = max(0, all_ns - self._cpu_ns.get(thread.ident, 0))  # less than before: its ident went to a new thread
        self._cpu_ns[thread.ident] = all_ns
        return used_ns // 1_000

    def _stack(self, frame: FrameType | None) -> tuple[int, ...]:
        ids = []
        while frame is not None:
            code = frame.f_code
            self._codes.setdefault(id(code), code)
            ids.append(id(code))
            frame = frame.f_back
        return tuple(reversed(ids))

    def stacks(self) -> Counter[tuple[str, ...]]:
        """Microseconds of each stack: the thread's name, then functions, outermost first."""
        named: Counter[tuple[str, ...]] = Counter()
        labels = {id: label_of(code) for id, code in self._codes.items()}
        for (thread, ids), used_us in self.used_us.items():
            named[thread, *(labels[id] for id in ids)] += used_us
        return named

    def write(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        stacks = self.stacks()
        (folder / f"{name}.collapsed").write_text(collapsed(stacks))
        (folder / f"{name}.txt").write_text(top_list(stacks))


def label_of(code: CodeType) -> str:
    """`core/lanes.py:Lane._drain`; of a library only the last two parts of its path."""
    path = Path(code.co_filename)
    short = (
        path.relative_to(ROOT) if path.is_relative_to(ROOT) and ".venv" not in path.parts else Path(*path.parts[-2:])
    )
    return f"{short}:{code.co_qualname}".replace(";", ",")  # the format's own separator


def collapsed(stacks: Mapping[tuple[str, ...], int]) -> str:
    """The format of flame graphs: a stack's frames with semicolons between them, and its microseconds."""
    return "".join(f"{';'.join(stack)} {used_us}\n" for stack, used_us in sorted(stacks.items()))


def top_list(stacks: Mapping[tuple[str, ...], int]) -> str:
    """For each thread, busiest first, the functions that used most: alone, and with all they call."""
    threads: Counter[str] = Counter()
    inside: dict[str, Counter[str]] = {}
    alone: dict[str, Counter[str]] = {}
    for (thread, *functions), used_us in stacks.items():
        threads[thread] += used_us
        inside.setdefault(thread, Counter()).update(dict.fromkeys(functions, used_us))
        alone.setdefault(thread, Counter()).update({functions[-1]: used_us})
    lines = []
    for thread, used_us in threads.most_common():
        lines += [f"{thread}: {used_us / 1e6:.2f} s of CPU", "    alone   with calls"]
        for function, alone_us in alone[thread].most_common(TOP):
            share, total = (100 * each_us / used_us for each_us in (alone_us, inside[thread][function]))
            lines.append(f"  {share:6.1f} %  {total:6.1f} %  {function}")
        lines.append("")
    return "\n".join(lines)


def cpu_ns(thread: threading.Thread) -> int:
    """The CPU time that a thread has used; 0 when it has just ended."""
    assert thread.native_id is not None
    # How Linux numbers the clock of a thread. `time.pthread_getcpuclockid` gives the same, or crashes when the thread has ended.
    clock = (~thread.native_id << 3) | 6
    try:
        return time.clock_gettime_ns(clock)
    except OSError:
        return 0
