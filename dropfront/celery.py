"""The Celery app. A message only says "look now": all work stands in rows (`core.due_work`)."""

import os

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dropfront.settings")

app = Celery("dropfront")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def close_inherited_connections(**_: object) -> None:
    # A child must not share its parent's sockets.
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        connection.close()


@worker_process_shutdown.connect
def send_last_frames(**_: object) -> None:
    # A prefork child ends without atexit.
    from live import publisher

    publisher.flush(timeout_s=2)
