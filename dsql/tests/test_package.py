"""The package as a whole: what loading it does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

LOAD_ALL = """
import sys
import types
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"])
django.setup()
from django import forms, test
from django.core.management.commands import flush, loaddata, migrate
from django.db import migrations, models, transaction
from django.db.backends.postgresql import base, schema

def everything():
    for name, module in list(sys.modules.items()):
        if name.startswith("django."):
            for key, value in list(vars(module).items()):
                if not isinstance(value, types.ModuleType):
                    yield (name, key), value
                if isinstance(value, type) and value.__module__ == name:
                    yield from (((name, key, part), inner) for part, inner in list(vars(value).items()))

before = dict(everything())
assert len(before) > 10_000
import dsql.base, dsql.checks, dsql.faults, dsql.fields, dsql.testing, dsql.transactions
after = dict(everything())
print(*(key for key, value in before.items() if after.get(key, value) is not value))
print(*(key for key in after if key not in before and key[:-1] in before))  # put on a class
"""


def test_loading_the_package_changes_nothing_of_django() -> None:
    run = subprocess.run([sys.executable, "-c", LOAD_ALL], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == ""
