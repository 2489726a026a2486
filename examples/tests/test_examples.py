"""Each example is installed in a site of its own, migrated, and keeps what every format keeps; the product never hears of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings

ROOT = Path(__file__).resolve().parents[2]


def test_the_raffle_keeps_the_contract_of_formats():
    tests = ["tests/test_contract.py", "examples/raffle/tests", "-k", "raffle"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT, env={**os.environ, "DJANGO_SETTINGS_MODULE": "examples.settings"}, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]


def test_the_product_is_without_examples():
    assert not [app for app in settings.INSTALLED_APPS if app.startswith("examples")]
