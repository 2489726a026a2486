"""The rows that say: this has been done, and this was the outcome."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone


class Receipt(models.Model):
    """One operation that has been committed. Written in the operation's own transaction."""

    id = models.UUIDField(primary_key=True, editable=False)  # the caller's operation id
    # Which run wrote it: after a lost answer, a run knows its own receipt from that of another with the same id.
    made_by = models.UUIDField(editable=False)
    result = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    # Without an index, whose newest end every writer would contend for. Only forgetting asks for it.
    made_at = models.DateTimeField(default=timezone.now)

    objects: models.Manager[Receipt] = models.Manager()

    def __str__(self) -> str:
        return str(self.id)
