"""A function that happens once for each operation id, however often it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections, transaction

from dsql.receipts.models import Receipt


@dataclass
class Once:
    """The body of a transaction that looks for its receipt first, and leaves one.

    The result goes through JSON, the first time too, so that a repeat returns the same. Raises TypeError for what JSON
    cannot hold, and then nothing is written.
    """

    fn: Callable[[], Any]
    operation_id: UUID
    using: str
    _run_id: UUID = field(default_factory=uuid4)
    _hooks: list[tuple[Any, ...]] = field(default_factory=list)

    def __call__(self) -> Any:
        receipt = Receipt.objects.using(self.using).filter(id=self.operation_id).first()
        if receipt is None:
            return self._do()
        if receipt.made_by == self._run_id:
            self._plan_hooks_again()
        return receipt.result

    def _do(self) -> Any:
        result = json.loads(json.dumps(self.fn(), cls=DjangoJSONEncoder))
        Receipt.objects.using(self.using).create(id=self.operation_id, made_by=self._run_id, result=result)
        self._hooks = list(connections[self.using].run_on_commit)
        return result

    def _plan_hooks_again(self) -> None:
        """The attempt that wrote the receipt was committed, but its hooks went with its connection."""
        for _, hook, is_robust in self._hooks:
            transaction.on_commit(hook, using=self.using, robust=is_robust)
