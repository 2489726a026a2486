from __future__ import annotations

from django.db import models

from dsql.fields import UUIDv7Field


class DueWork(models.Model):
    """Something that must happen at or after `due_at`. The row is the queue: a message only says "look now"."""

    id = UUIDv7Field(primary_key=True)
    kind = models.CharField(max_length=60)
    subject_id = models.UUIDField()
    due_at = models.DateTimeField()
    # No worker takes the row before this. One that takes it moves it ahead; when that worker dies, the row comes free by itself.
    leased_until = models.DateTimeField()
    lease_id = models.UUIDField(null=True)  # the step under way
    attempts = models.IntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True, default="")
    done_at = models.DateTimeField(null=True)
    parked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "subject_id"], name="one_due_work_per_subject")]
        indexes = [models.Index(fields=["done_at", "parked_at", "due_at"], name="due_work_by_time")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_id}"
