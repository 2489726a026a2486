"""How a `manage.py` run by hand finds the servers of a running `bin/up`: the file `.data/env`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

DATA_DIR_NAME = ".data"


def load(root: Path | str) -> None:
    """Set the variables of `root/.data/env` that are not set yet. Without that file, nothing happens."""
    for name, value in read(Path(root) / DATA_DIR_NAME).items():
        os.environ.setdefault(name, value)


def read(data: Path) -> dict[str, str]:
    """The addresses of the servers that run in `data`, or none."""
    try:
        lines = (data / "env").read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}  # nothing runs here, or another user's
    return dict(line.split("=", 1) for line in lines if "=" in line)


def write(data: Path, values: Mapping[str, str]) -> None:
    write_secret(data / "env", "".join(f"{name}={value}\n" for name, value in values.items()))


def remove(data: Path) -> None:
    (data / "env").unlink(missing_ok=True)


def secret_key(data: Path) -> str:
    """The key that signs sessions on this machine: made once, kept, readable by its owner only."""
    path = data / "secret_key"
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(48))
    return path.read_text().strip()


def write_secret(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
