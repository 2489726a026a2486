"""Each example is installed in a site of its own, migrated, and keeps what every format keeps; the product never hears of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from django.conf import settings

ROOT = Path(__file__).resolve().parents[2]
RAFFLE = ROOT / "examples" / "raffle"
LINES_MAX = 90


def test_the_raffle_keeps_the_contract_of_formats():
    tests = ["tests/test_contract.py", "examples/raffle/tests", "-k", "raffle"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT, env={**os.environ, "DJANGO_SETTINGS_MODULE": "examples.settings"}, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 15


def test_the_product_is_without_examples():
    assert not [app for app in settings.INSTALLED_APPS if app.startswith("examples")]


def test_a_format_takes_no_more_than_it_says():
    """Python and templates, with the specimen and without its other tests."""
    files = [path for path in RAFFLE.rglob("*") if path.suffix in (".py", ".html") and "migrations" not in path.parts]
    lines = [line for path in files if not path.name.startswith("test_") for line in path.read_text().splitlines()]

    assert sum(1 for line in lines if line.strip()) <= LINES_MAX


def test_the_guide_quotes_the_raffle():
    guide = (ROOT / "docs" / "add-a-format.md").read_text()
    files = [path.read_text() for path in RAFFLE.rglob("*") if path.suffix in (".py", ".html")]
    quoted = re.findall(r"```(?:python|django)\n(.*?)```", guide, re.DOTALL)

    assert len(quoted) > 9
    for code in quoted:
        assert any(code in text for text in files), code
