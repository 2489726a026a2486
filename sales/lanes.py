"""The lane of a sale: all commands for it that reach this process, a batch to a transaction of three round trips.

A format says how to load, decide and write; what is the same for all happens here.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, TypeVar
from uuid import UUID

from django.utils.translation import gettext_noop as N_
from msgspec.structs import replace

from core import metrics
from core.errors import NotFound, Refusal
from core.lanes import Lane, process_slot
from core.transactions import DEADLINE_S, Conflict40001, joins_transaction
from sales import frames
from sales.standing import Standing

C = TypeVar("C")
O = TypeVar("O")  # noqa: E741

# A command waits for its batch for DEADLINE_S at most, and its batch is tried for as long.
RECEIVED_AGE_MAX = dt.timedelta(seconds=2 * DEADLINE_S)


class Terms(Protocol):
    @property
    def sha256(self) -> str: ...


class State(Protocol):
    standing: Standing


class Decision(Protocol):
    outcomes: list[Any]


class SaleLane(Lane[C, O]):
    """Subclass with the six methods below, each of which is the format's."""

    format: ClassVar[str]
    batch_max = 700

    def __init__(self, sale_id: UUID) -> None:
        super().__init__()
        self.sale_id = sale_id
        self.slot = process_slot()
        self._terms: Any = None

    def load_terms(self) -> Any:
        """The sealed terms, which never change. Raises NotFound for a sale that is not on sale."""
        raise NotImplementedError

    def load(self, terms: Any, batch: Sequence[C]) -> Any:
        """The state: all that the batch needs, read in one round trip."""
        raise NotImplementedError

    def decide(self, state: Any, batch: Sequence[C]) -> Any:
        raise NotImplementedError

    def write(self, state: Any, decision: Any) -> None:
        """Write what was decided in one round trip, past the gate."""
        raise NotImplementedError

    def is_new(self, command: C, outcome: O) -> bool:
        """Whether `outcome` is something that `command` has made, and not the answer to a repeat."""
        raise NotImplementedError

    def committed(self, state: Any) -> None:
        """What the lane may remember of the state as its batch left it. Called after the commit."""

    @property
    def terms(self) -> Any:
        """Read once; a batch that finds other terms reads them again."""
        if self._terms is None:
            self._terms = self.load_terms()
        return self._terms

    @joins_transaction
    def run(self, batch: Sequence[C]) -> Sequence[O | Refusal]:
        state = self._load(batch)
        decision = self.decide(state, believable(batch, state.standing.now))
        self.write(state, decision)
        self._state = state
        outcomes: Sequence[O | Refusal] = decision.outcomes
        return outcomes

    @joins_transaction
    def run_step(self, batch: Sequence[C]) -> None:
        """Run the commands of due work. One that is refused fails the step: unseen, it would come again in each step after it."""
        for outcome in self.run(batch):
            if isinstance(outcome, Refusal):
                raise outcome

    def _load(self, batch: Sequence[C]) -> Any:
        for _ in range(2):
            state = self.load(self.terms, batch)
            if state.standing.terms_sha256 == self.terms.sha256:
                return state
            self._terms = None
        raise Conflict40001("the sale's terms moved since they were read")

    def told(self, batch: Sequence[C], outcomes: Sequence[O | Refusal]) -> None:
        self.committed(self._state)
        refused = Counter(outcome.code for outcome in outcomes if isinstance(outcome, Refusal))
        for code, count in refused.items():
            metrics.REFUSALS.labels(code).inc(count)
        if refused.total() == len(outcomes):
            return
        frames.send(self.sale_id)
        pairs = zip(batch, outcomes, strict=True)
        made = sum(
            1 for command, outcome in pairs if not isinstance(outcome, Refusal) and self.is_new(command, outcome)
        )
        if made:
            metrics.ORDERS.labels(self.format).inc(made)


def standing_of(rows: Sequence[Sequence[Any]]) -> Standing:
    """From the rows that `gates.standing_statement` gave. Raises NotFound for a sale that was not published."""
    if not rows:
        raise NotFound(N_("This sale is not on sale."))
    return Standing(*rows[0])


def believable(batch: Sequence[C], now: dt.datetime) -> Sequence[C]:
    """The commands as the database's clock can believe them: received neither after `now` nor longer ago than they could wait.

    A process whose clock is wrong sells nothing early and nothing late.
    """
    if all(now - RECEIVED_AGE_MAX <= command.received_at <= now for command in batch):  # type: ignore[attr-defined]
        return batch
    return [replace(command, received_at=believed(command.received_at, now)) for command in batch]  # type: ignore[attr-defined, type-var]


def believed(at: dt.datetime, now: dt.datetime) -> dt.datetime:
    """The time at which a process says that something was asked of it, as the database's clock can believe it."""
    return min(max(at, now - RECEIVED_AGE_MAX), now)
