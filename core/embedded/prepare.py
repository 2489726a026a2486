"""`python -m core.embedded.prepare LOGINS_FILE [--skip-migrate]`: tables and demo sales, in one Django process.

One process, because each `manage.py` spends most of its time importing the same code.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import django
from django.core.management import CommandError, call_command


def main(logins_path: Path, *, skip_migrate: bool) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dropfront.settings")
    django.setup()
    if not skip_migrate:
        call_command("migrate", interactive=False, verbosity=1)
    call_command("load_demo")
    logins = io.StringIO()
    call_command("load_demo", logins=True, stdout=logins)
    logins_path.write_text(logins.getvalue())


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), skip_migrate="--skip-migrate" in sys.argv[2:])
    except CommandError as error:
        sys.exit(str(error))
