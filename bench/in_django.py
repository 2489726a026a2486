"""`python -m bench.in_django MODULE ARGUMENT…`: runs `main` of a module of the benchmark, and prints its result as JSON.

Arguments are read as JSON. For what is measured inside the product's own processes. Django is set up before the module is
imported, and not in the benchmark's main process, which only looks on.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dropfront.settings")
    django.setup()
    module = importlib.import_module(f"bench.{sys.argv[1]}")
    print(json.dumps(module.main(*map(json.loads, sys.argv[2:]))))
