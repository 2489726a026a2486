"""A running Dropfront as its operator meets it: addresses in the environment, and `manage.py`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HANGS_AFTER_S = 300.0  # how quick anything is depends on the machine; this only ends a test that would wait for ever
BUSY = "core.errors.Busy: "  # how its traceback ends
HANDLE = "northlight"  # the demo has it too
# Would lead to somebody's real servers. Empty, not missing: settings fill in what is missing from a running `bin/up`.
CLEARED = ("DATABASE_URL", "DATABASE_ENDPOINTS", "DSQL_ENDPOINTS", "REDIS_URL", "DYNAMODB_TABLE", "DEBUG", "PRODUCTION")


def wait_until(condition: Callable[[], bool], what: str, within_s: float = HANGS_AFTER_S) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.02)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="dropfront-e2e-"))
    folder.chmod(0o711)  # as root, PostgreSQL runs as nobody, who must be able to pass
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Shop:
    """One Dropfront and the shop `HANDLE` in it. `addresses` names its servers and its secret key."""

    def __init__(self, data: Path, addresses: Mapping[str, str]) -> None:
        self.data = data
        self.database_url = addresses["DATABASE_URL"]
        self.environment = {**os.environ, **dict.fromkeys(CLEARED, ""), **addresses}

    def manage(self, *arguments: str, database_url: str = "") -> str:
        """What `manage.py` prints, whatever its exit code; a Busy is tried again. Fails with its complaint if it prints nothing."""
        done = self._manage(arguments, database_url or self.database_url)
        while done.returncode != 0 and BUSY in done.stderr:
            done = self._manage(arguments, database_url or self.database_url)
        assert done.returncode == 0 or done.stdout, f"{arguments[0]}: {done.stderr}"
        return done.stdout

    def _manage(self, arguments: Sequence[str], database_url: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**self.environment, "DATABASE_URL": database_url},
            capture_output=True,
            text=True,
            check=False,
        )

    def open_drop(self, *, units: int, opens_in_s: float = 0.0, closes_in_s: float = 3_600.0) -> str:
        """A published drop's id. No limit per fan: nothing but the key keeps a repeated request from buying twice."""
        times = ["--opens-in", str(opens_in_s), "--closes-in", str(closes_in_s)]
        opened = self.manage(
            "open_drop", "--seller", HANDLE, "--units", str(units), "--price", "10.00", *times, "--json"
        )
        return str(json.loads(opened)["sale_id"])

    def mint_fans(self, sale_id: str, *, count: int) -> list[dict[str, str]]:
        """That many fans with money: {"fan_id", "buy_token"} each."""
        out = self.data / f"fans-{sale_id}.jsonl"
        self.manage("mint_fans", "--count", str(count), "--funds", "100.00", "--sale", sale_id, "--out", str(out))
        return [json.loads(line) for line in out.read_text().splitlines()]

    def broken_checks(self, sale_id: str, *, database_url: str = "") -> list[str]:
        """Names of the product's own checks that do not hold, of the books and of this sale."""
        report = json.loads(self.manage("check_invariants", "--sale", sale_id, "--json", database_url=database_url))
        broken = [found["name"] for checks in report["checks"].values() for found in checks if not found["holds"]]
        assert report["holds"] == (not broken)
        return broken
