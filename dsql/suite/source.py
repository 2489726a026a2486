"""Django's tests, which only its source distribution has."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".data" / "django-suite"


def tests_folder() -> Path:
    """The folder with `runtests.py` of exactly the Django that is installed; downloaded once.

    Raises SystemExit with a sentence when requirements.txt pins another Django, or the package index is out of reach.
    """
    folder = CACHE / f"django-{django.get_version()}"
    if not folder.exists():
        download(folder)
    return folder / "tests"


def download(folder: Path) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        requirement = Path(scratch) / "requirement.txt"
        requirement.write_text(pinned_requirement())
        # Django has no code to build; setuptools, which pip asks for its name and version, is pinned and installed.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
        command += ["--dest", scratch, "--requirement", str(requirement)]
        if subprocess.run(command, check=False).returncode != 0:
            raise SystemExit("Django's source distribution could not be downloaded (is the package index reachable?)")
        (archive,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        # Renamed at the end, so that an interrupted download leaves nothing that looks finished.
        (Path(scratch) / folder.name).rename(folder)


def pinned_requirement() -> str:
    """Django's entry of requirements.txt: its version, and the hashes that the download must have one of."""
    pin = f"django=={django.get_version()}"
    found = re.search(rf"^{re.escape(pin)} .*(?:\n +--hash=.*)+", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"requirements.txt does not pin {pin}, the Django that is installed.")
    return found[0].rstrip(" \\") + "\n"
