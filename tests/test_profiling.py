"""The sampling profiler of a web process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter

import pytest

from dropfront import profiling, server
from dropfront.profiling import Profiler, collapsed, top_list

PROGRAM = """
import signal
from dropfront.server import profiling_if_asked
with profiling_if_asked():
    print("ready", flush=True)
    while True:
        signal.pause()
"""
STACKS = Counter(
    {("lane_0", "a.py:run", "b.py:wait"): 30_000, ("lane_0", "a.py:run"): 10_000, ("MainThread", "c.py:loop"): 20_000}
)


@pytest.fixture
def worker():
    """A thread that waits, once it has begun, until the test is over."""
    at_work, done = threading.Event(), threading.Event()

    def work():
        at_work.set()
        done.wait()

    thread = threading.Thread(target=work, name="worker", daemon=True)
    thread.start()
    at_work.wait()
    yield thread
    done.set()
    thread.join()


def test_a_sample_names_the_thread_and_its_functions_outermost_first(worker):
    profiler = Profiler()
    profiler.sample_others()

    (stack,) = [stack for stack in profiler.stacks() if stack[0] == "worker"]
    functions = [frame.rpartition(":")[2] for frame in stack]
    assert functions.index("worker.<locals>.work") < functions.index("Event.wait")
    assert "tests/test_profiling.py:worker.<locals>.work" in stack


def test_a_thread_that_has_not_worked_since_the_last_sample_is_not_counted(worker, monkeypatch):
    monkeypatch.setattr(profiling, "cpu_ns", lambda thread: 5_400 if thread is worker else 0)
    profiler = Profiler()
    profiler.sample_others()
    profiler.sample_others()

    assert list(profiler.stacks().values()) == [5]


def test_the_main_thread_is_counted_where_the_signal_found_it():
    profiler = Profiler()
    profiler.sample_main(sys._getframe())

    (stack,) = profiler.stacks()
    here = "test_the_main_thread_is_counted_where_the_signal_found_it"
    assert (stack[0], stack[-1]) == ("MainThread", f"tests/test_profiling.py:{here}")


def test_stacks_are_written_as_flame_graph_tools_read_them():
    assert collapsed(STACKS) == "MainThread;c.py:loop 20000\nlane_0;a.py:run 10000\nlane_0;a.py:run;b.py:wait 30000\n"


def test_the_list_shows_the_thread_that_used_most_cpu_first_and_each_function_alone_and_with_its_calls():
    shown = [line.split() for line in top_list(STACKS).splitlines()]

    assert shown == [
        ["lane_0:", "0.04", "s", "of", "CPU"],
        ["alone", "with", "calls"],
        ["75.0", "%", "75.0", "%", "b.py:wait"],
        ["25.0", "%", "100.0", "%", "a.py:run"],
        [],
        ["MainThread:", "0.02", "s", "of", "CPU"],
        ["alone", "with", "calls"],
        ["100.0", "%", "100.0", "%", "c.py:loop"],
    ]


def test_a_process_that_is_told_to_end_writes_its_profile(tmp_path):
    named = {"DROPFRONT_PROFILE": "1", "DROPFRONT_PROFILE_DIR": str(tmp_path / "profile"), "DROPFRONT_SLOT": "3"}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], env=os.environ | named, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 0
    process.stdout.close()
    written = {path.name for path in (tmp_path / "profile").iterdir()}
    assert written == {f"web-3-{process.pid}.collapsed", f"web-3-{process.pid}.txt"}


def test_without_the_variable_there_is_no_profiler(monkeypatch):
    monkeypatch.delenv("DROPFRONT_PROFILE", raising=False)
    before = signal.getsignal(signal.SIGTERM), threading.active_count()

    with server.profiling_if_asked():
        assert (signal.getsignal(signal.SIGTERM), threading.active_count()) == before
