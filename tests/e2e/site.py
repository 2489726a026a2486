"""`bin/up` in a scratch folder, as it runs on somebody's machine: web processes, worker and beat, watched by its supervisor."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from embedded.valkey import free_port
from tests.e2e.shop import CLEARED, HANGS_AFTER_S, ROOT, Shop, scratch_folder, wait_until

ASK_AGAIN_S = 2.0  # well within what one address may ask in a minute


class Site(Shop):
    """Everything, on one port. Made by `running_site`."""

    def __init__(self, data: Path, port: int) -> None:
        lines = (data / "env").read_text().splitlines()
        super().__init__(data, dict(line.split("=", 1) for line in lines))
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON, once there is an answer: a shop that is busy or away is asked again."""
        give_up_at = time.monotonic() + HANGS_AFTER_S
        while True:
            status, body = self._get(path)
            if status not in (0, 503):
                return status, body
            assert time.monotonic() < give_up_at, f"{path} is never answered"
            time.sleep(ASK_AGAIN_S)

    def _get(self, path: str) -> tuple[int, Any]:
        """Status and JSON; status 0 when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()


@contextlib.contextmanager
def running_site(settings: Mapping[str, str] | None = None) -> Iterator[Site]:
    """`bin/up` with two web processes and its demo sales, ready; stopped afterwards. `settings` go into its environment."""
    with scratch_folder() as folder:
        data, port = folder / "data", free_port()
        environment = {**os.environ, **dict.fromkeys(CLEARED, ""), "DROPFRONT_PYTHON": sys.executable}
        command = [sys.executable, ROOT / "bin" / "up", "--data", data, "--port", str(port), "--processes", "2"]
        with (folder / "up.log").open("wb") as log:
            up = subprocess.Popen(
                command, env=environment | dict(settings or {}), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            wait_until(lambda: is_ready(up, data, folder / "up.log"), "bin/up is ready")
            yield Site(data, port)
        finally:
            up.terminate()
            up.wait(HANGS_AFTER_S)


def is_ready(up: subprocess.Popen[bytes], data: Path, log: Path) -> bool:
    assert up.poll() is None, log.read_text()
    return "is ready after" in log.read_text() and (data / "env").exists()
