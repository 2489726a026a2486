from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, connection
from django.db.models import F

from core import chunks
from core.chunks import ChunkSize, run_shrinking
from core.errors import Busy
from core.ids import uuid7
from core.models import DueWork
from core.transactions import Conflict40001, in_transaction
from dsql import faults
from tests.tools.shop import NOW

SUBJECT = uuid7()


def test_each_conflict_halves_a_chunk_down_to_one_row():
    size, tried = ChunkSize(950), []
    for _ in range(12):
        tried.append(size.rows)
        size.shrink()

    assert tried == [950, 475, 237, 118, 59, 29, 14, 7, 3, 1, 1, 1]


def test_an_error_halves_a_chunk_until_one_row_is_to_blame():
    size, tried = ChunkSize(10), [10]
    while not size.blames_one_row():
        tried.append(size.rows)

    assert tried == [10, 5, 2, 1]


def test_after_a_row_was_set_aside_the_chunk_is_whole_again():
    size = ChunkSize(10, start=1)

    assert size.may_set_aside()
    assert size.rows == 10


def test_many_rows_that_fail_alone_are_not_to_blame():
    size = ChunkSize(10)

    assert [size.may_set_aside() for _ in range(chunks.ASIDE_MAX + 1)] == [True] * chunks.ASIDE_MAX + [False]


class Members:
    """A toy subject: rows that are charged one after the other. A poisoned one breaks a constraint of the database."""

    def __init__(self, count: int, poisoned: Sequence[int] = ()) -> None:
        self.ids = [uuid7() for _ in range(count)]
        self.tried: list[int] = []
        self.chunk: list[UUID] = []
        poison = {self.ids[number] for number in poisoned}
        DueWork.objects.bulk_create(
            DueWork(id=id, kind="toy", subject_id=id, due_at=NOW, leased_until=NOW, attempts=-1 if id in poison else 0)
            for id in self.ids
        )

    def step(self, limit: int) -> int:
        self.tried.append(limit)
        members = DueWork.objects.filter(kind="toy", done_at=None, parked_at=None).order_by("id")
        self.chunk = list(members.values_list("id", flat=True)[:limit])
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE core_duework SET done_at = due_at, last_error = repeat('x', CASE attempts WHEN -1 THEN 501 ELSE 0 END)"
                " WHERE id = ANY(%s)",
                [self.chunk],
            )
        return len(self.chunk)

    def set_aside(self, error: Exception) -> bool:
        (member,) = self.chunk
        return bool(DueWork.objects.filter(id=member, done_at=None).update(parked_at=NOW, last_error=str(error)[:500]))

    def run(self, step: Any = None, **options: Any) -> Any:
        options = {"largest": 16, "name": "toy", "subject_id": SUBJECT, "set_aside": self.set_aside, **options}
        return run_shrinking(step or self.step, **options)

    def run_to_the_end(self) -> None:
        while self.run():
            pass

    def count(self, **conditions: Any) -> int:
        return DueWork.objects.filter(kind="toy", **conditions).count()


@pytest.fixture(autouse=True)
def _nothing_reached(monkeypatch):
    monkeypatch.setattr(chunks, "_reached", {})


@pytest.mark.django_db(transaction=True)
class TestOnTheDatabase:
    def test_a_step_that_goes_well_is_of_full_size_each_time(self):
        members = Members(40)

        assert [members.run() for _ in range(4)] == [16, 16, 8, 0]
        assert members.tried == [16] * 4

    @pytest.mark.usefixtures("no_pauses")
    def test_a_conflict_makes_the_next_try_half_as_large_and_the_next_call_is_whole_again(self):
        members = Members(40)

        with faults.fail_commits(3):
            assert members.run() == 2
        members.run()

        assert members.tried == [16, 8, 4, 2, 16]

    @pytest.mark.parametrize("poisoned", [[0], [7], [39], [3, 4, 20, 38]])
    def test_a_row_that_fails_alone_is_set_aside_and_the_rest_goes_on(self, poisoned):
        members = Members(40, poisoned)

        members.run_to_the_end()

        aside = DueWork.objects.filter(kind="toy", parked_at=NOW).order_by("id")
        assert [row.id for row in aside] == [members.ids[number] for number in poisoned]
        assert all("check constraint" in row.last_error for row in aside)
        assert members.count(done_at=NOW) == 40 - len(poisoned)

    def test_a_refusal_or_a_programs_error_is_found_like_a_constraint(self):
        members = Members(10)

        def step(limit: int) -> int:
            done = members.step(limit)
            assert members.ids[6] not in members.chunk
            return done

        while members.run(step):
            pass

        assert members.count(parked_at=NOW) == 1
        assert members.count(done_at=NOW) == 9

    def test_when_every_row_fails_the_error_is_raised_before_all_are_set_aside(self):
        members = Members(chunks.ASIDE_MAX + 10, poisoned=range(chunks.ASIDE_MAX + 10))

        with pytest.raises(Exception, match="check constraint"):
            members.run()

        assert members.count(parked_at=NOW) == chunks.ASIDE_MAX

    def test_an_error_without_a_row_to_blame_is_raised(self):
        def step(limit: int) -> int:
            raise KeyError("the sale")

        with pytest.raises(KeyError):
            Members(0).run(step, set_aside=lambda error: False)

    @pytest.mark.parametrize("sqlstate", ["25006", "42703"])
    def test_an_error_of_all_rows_passes_through_at_once(self, sqlstate):
        members = Members(5)

        with faults.fail_statement(2, sqlstate, "no"), pytest.raises(DatabaseError, match="no"):
            members.run()

        assert members.tried == [16]
        assert members.count(parked_at=NOW) == 0

    @pytest.mark.usefixtures("no_pauses")
    def test_a_lone_row_in_conflict_is_busy_at_the_deadline_and_never_set_aside(self):
        members, tried = Members(5), []

        def step(limit: int) -> int:
            tried.append(limit)
            raise Conflict40001("always")

        with pytest.raises(Busy):
            members.run(step, deadline_s=0.3)

        assert tried[:6] == [16, 8, 4, 2, 1, 1]
        assert members.count(parked_at=None) == 5

    @pytest.mark.usefixtures("no_pauses")
    def test_a_step_whose_time_ran_out_goes_on_as_small_as_it_was(self):
        """Else each call would spend its time on sizes that are too slow to ever get through."""
        members = Members(40)
        with faults.fail_commits(1_000), pytest.raises(Busy):
            members.run(deadline_s=0)

        members.run(subject_id=uuid7())  # another subject's step is as large as ever
        members.run()
        members.run()

        assert members.tried == [16, 16, 8, 16]

    def test_errors_end_at_the_deadline_too(self, monkeypatch):
        clock = SimpleNamespace(s=0.0)
        monkeypatch.setattr(chunks, "time", SimpleNamespace(monotonic=lambda: clock.s))
        tried = []

        def fail_slowly(limit: int) -> int:
            tried.append(limit)
            clock.s += 4
            raise ValueError("slow")

        with pytest.raises(Busy):
            Members(20).run(fail_slowly, deadline_s=10)

        assert tried == [16, 8, 4]

    @pytest.mark.usefixtures("no_pauses")
    def test_a_lost_answer_sets_no_neighbour_aside(self):
        members = Members(3, poisoned=[0])
        losses = [faults.lose_commit_answers(1)]

        def set_the_first_aside(error: Exception) -> bool:
            if losses:
                losing.enter_context(losses.pop())
            first = DueWork.objects.filter(kind="toy", done_at=None, parked_at=None).order_by("id").values("id")[:1]
            return bool(DueWork.objects.filter(id__in=first).update(parked_at=NOW))

        with ExitStack() as losing, pytest.raises(Busy):
            members.run(set_aside=set_the_first_aside)
        members.run_to_the_end()

        assert members.count(parked_at=NOW) == 1
        assert members.count(done_at=NOW) == 2

    def test_a_row_that_is_written_all_the_time_does_not_hold_up_the_others(self):
        members = Members(200)
        stop = threading.Event()
        busy_row = DueWork.objects.filter(id=members.ids[77])

        def keep_writing() -> None:
            while not stop.wait(0.005):
                with suppress(Busy):
                    in_transaction(lambda: busy_row.update(attempts=F("attempts") + 1), name="test")
            connection.close()

        writer = threading.Thread(target=keep_writing)
        writer.start()
        try:
            while True:
                try:
                    if not members.run(largest=100, deadline_s=1):
                        break
                except Busy:
                    continue  # the row itself may take its time
        finally:
            stop.set()
            writer.join()

        assert members.count(done_at=NOW) == 200
