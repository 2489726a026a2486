"""`python -m embedded.background DATA`: all of a small machine's background work in one process.

Migrations, demo sales, then Celery's worker with beat in a thread of it. One process instead of four, because each would
spend two seconds and 100 MB on importing the same code. Production runs worker and beat apart; see compose.yaml.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import django
from celery import Celery
from celery.app.utils import find_app
from celery.beat import EmbeddedService
from celery.signals import worker_ready
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

APP = "dropfront"
# Threads rather than child processes: nothing is left behind when this process is killed.
WORKER_THREADS = 2


def main(data: Path) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"{APP}.settings")
    django.setup()
    prepare(data / "logins")
    tell(data, "prepared")
    return work(find_app(APP), data)


def prepare(logins: Path) -> None:
    """Tables and demo sales. Changes nothing where both are right already."""
    # `migrate` takes a while even with nothing to do, so it is asked only when there is something.
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=1)
    collect_static()
    call_command("load_demo")
    lines = io.StringIO()
    call_command("load_demo", logins=True, stdout=lines)
    logins.write_text(lines.getvalue())
    connections.close_all()


def collect_static() -> None:
    """Hash and compress the files that pages use, if any is new or newer than what was made of them."""
    if not settings.IS_STATIC_COLLECTED:
        return
    made = Path(settings.STATIC_ROOT) / "staticfiles.json"
    made_at = made.stat().st_mtime if made.exists() else 0.0
    known = json.loads(made.read_text())["paths"] if made.exists() else {}
    files = [(name, storage.path(name)) for finder in get_finders() for name, storage in finder.list([])]
    # Packages bring files that are older than what was made before they were installed.
    if any(name not in known or os.stat(path).st_mtime > made_at for name, path in files):
        call_command("collectstatic", interactive=False, verbosity=0)
        made.touch()


def work(app: Celery, data: Path) -> int:
    """Run worker and beat until SIGTERM. The exit code."""
    beat = EmbeddedService(app, thread=True, schedule_filename=str(data / "beat-schedule"))

    def start_beat(**_: Any) -> None:
        beat.start()
        threading.Thread(target=end_with, args=[beat], daemon=True).start()
        tell(data, "ready")

    worker_ready.connect(start_beat, weak=False)
    worker = app.Worker(
        pool_cls="threads", concurrency=WORKER_THREADS, without_mingle=True, without_gossip=True, loglevel="INFO"
    )
    worker.start()
    return int(worker.exitcode or 0)


def tell(data: Path, state: str) -> None:
    """Say how far we are, in the file that bin/up looks at."""
    fresh = data / "background.state.new"
    fresh.write_text(state)
    fresh.replace(data / "background.state")


def end_with(beat: threading.Thread) -> None:
    """A process whose beat has died must not look alive: ended, it is started again."""
    beat.join()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except CommandError as error:
        sys.exit(f"CommandError: {error}")
