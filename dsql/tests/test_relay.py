"""The relay, before a server that sends back what it gets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsql.relay import Relay, obey

TIMEOUT_S = 60.0  # only ends a test that would wait for ever


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[str]:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "echo"))
    listener.listen()

    def serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed: the test is over
            threading.Thread(target=serve, args=[connection], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"unix:{tmp_path / 'echo'}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def relay(echo: str) -> Iterator[Relay]:
    with Relay(echo) as relay:
        yield relay


def connect(relay: Relay) -> socket.socket:
    return socket.create_connection((relay.host, relay.port), TIMEOUT_S)


def say(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    answer = b""
    while len(answer) < len(data) and (more := connection.recv(65536)):
        answer += more
    return answer


def is_silent(connection: socket.socket) -> bool:
    connection.settimeout(0.2)
    try:
        return connection.recv(1) is None
    except TimeoutError:
        return True
    finally:
        connection.settimeout(TIMEOUT_S)


def test_bytes_pass_both_ways_in_order(relay: Relay) -> None:
    data = os.urandom(300_000)

    with connect(relay) as connection:
        answers = b"".join(say(connection, data[at : at + 50_000]) for at in range(0, len(data), 50_000))
    assert answers == data


def test_stopped_it_refuses_and_resets_until_it_is_healed_on_the_same_port(relay: Relay) -> None:
    port = relay.port
    with connect(relay) as connection:
        say(connection, b"a")
        relay.stop()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(relay)

    relay.heal()
    assert relay.port == port
    with connect(relay) as connection:
        assert say(connection, b"b") == b"b"


def test_hung_it_takes_everything_and_answers_nothing(relay: Relay) -> None:
    with connect(relay) as old:
        say(old, b"a")
        relay.hang()
        old.sendall(b"b")
        with connect(relay) as new:
            new.sendall(b"c")
            assert is_silent(old)
            assert is_silent(new)
            relay.heal()
            for connection in (old, new):
                with pytest.raises(ConnectionResetError):
                    connection.recv(1)
    with connect(relay) as connection:
        assert say(connection, b"d") == b"d"


def test_cut_it_resets_what_is_open_and_takes_new_connections(relay: Relay) -> None:
    with connect(relay) as connection:
        say(connection, b"a")
        relay.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with connect(relay) as connection:
        assert say(connection, b"b") == b"b"
    assert relay.connections_made == 2


def test_delayed_it_adds_the_same_to_each_way_and_not_per_chunk(relay: Relay) -> None:
    with connect(relay) as connection:
        say(connection, b"a")
        relay.delay(0.1)
        began_at = time.monotonic()
        for _ in range(100):
            connection.sendall(b"b")
            time.sleep(0.005)
        received = 0
        while received < 100:
            received += len(connection.recv(65536))
        took_s = time.monotonic() - began_at

    assert 0.2 <= took_s < 10.0  # 0.1 s for each chunk would be ten seconds one way alone


def test_an_end_that_closes_closes_the_other(relay: Relay) -> None:
    with connect(relay) as connection:
        say(connection, b"a")
    give_up_at = time.monotonic() + TIMEOUT_S
    while relay.open_connections:
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_a_server_that_is_not_there_is_a_reset() -> None:
    with Relay("unix:/nowhere") as relay, pytest.raises(ConnectionResetError), connect(relay) as connection:
        connection.recv(1)


def test_a_line_that_says_nothing_known_is_an_error(relay: Relay) -> None:
    for line in ("explode", "delay", "stop now"):
        with pytest.raises(ValueError, match="Not a command"):
            obey(relay, line)
    assert obey(relay, "\n")
    assert not obey(relay, "quit\n")


def test_as_a_process_it_obeys_lines_and_signals(echo: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "dsql.relay", "--to", echo],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        host, _, port = process.stdout.readline().removeprefix("listening on ").strip().rpartition(":")
        with socket.create_connection((host, int(port)), TIMEOUT_S) as connection:
            assert say(connection, b"a") == b"a"
            process.stdin.write("hang\n")
            process.stdin.flush()
            assert process.stdout.readline() == "ok hang\n"
            connection.sendall(b"b")
            assert is_silent(connection)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == -signal.SIGTERM
