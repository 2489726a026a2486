"""What a rally promises is sealed with it, and is what its rules go by."""

from __future__ import annotations

import datetime as dt

import pytest

from core.transactions import in_transaction
from rallies import loading
from rallies.services import firm_seconds
from sales.models import SealedTerms
from tests.tools.shop import NOW, make_rally


@pytest.mark.django_db(transaction=True)
def test_the_terms_say_what_comes_near_the_end_and_after_it():
    rally = make_rally(
        cap_units=25, late_joins=True, repeats_every_days=7, repeats_left=1, repeats_zone="Europe/Berlin"
    )
    text = SealedTerms.objects.get(sale=rally.sale).text

    for line in (
        "closed_early: at the next price", "counted_for_good_s: 183", "late_joins: yes",
        "late_joins_until: 2026-03-09T13:00:00.000000+00:00", "repeats_every_days: 7", "repeats_zone: Europe/Berlin",
    ):  # fmt: skip
        assert f"{line}\n" in text, text
    terms = in_transaction(lambda: loading.load_terms(rally.sale_id), name="test")
    assert (terms.firm_s, terms.late_until) == (183, NOW + dt.timedelta(days=7, hours=1))
    assert terms.sha256 == rally.sale.terms_sha256


@pytest.mark.django_db(transaction=True)
def test_without_late_joins_there_is_no_end_of_them():
    rally = make_rally()

    assert in_transaction(lambda: loading.load_terms(rally.sale_id), name="test").late_until is None
    assert "late_joins: no\n" in SealedTerms.objects.get(sale=rally.sale).text


@pytest.mark.parametrize(
    ("running_s", "firm_s"), [(1, 10), (200, 10), (219, 10), (220, 11), (3_660, 183), (7 * 24 * 3_600, 30_240)]
)
def test_a_twentieth_of_the_running_time_is_firm_and_at_least_ten_seconds(running_s, firm_s):
    assert firm_seconds(dt.timedelta(seconds=running_s)) == firm_s
