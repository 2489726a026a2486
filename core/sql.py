"""Small helpers for set-based SQL."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID


def array(values: Iterable[Any]) -> list[Any]:
    """Values as one array parameter, to be cast (`%s::uuid[]`) and unnested: a batch is one statement, however large."""
    return [str(value) if isinstance(value, UUID) else value for value in values]
