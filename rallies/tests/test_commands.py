"""`manage.py open_rally` and `end_rally`."""

from __future__ import annotations

import io
import json
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command

from rallies import selectors
from rallies.models import Rally
from rallies.pricing import PriceTier
from sales.models import SaleState
from tests.tools.shop import join, make_fans, make_seller, wallet

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> dict:
    out = io.StringIO()
    call_command(*arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def open_rally(*arguments: str) -> Rally:
    made = run("open_rally", "--seller", make_seller().handle, "--closes-in", "3600", *arguments)
    return Rally.objects.select_related("sale").get(sale_id=UUID(made["sale_id"]))


def test_a_rally_is_published_with_the_given_terms():
    rally = open_rally("--tiers", "1:100.00", "3:52.00", "--minimum", "2", "--cap", "9", "--limit", "4")

    assert selectors.tiers_of(rally.sale_id) == [PriceTier(1, 10_000), PriceTier(3, 5_200)]
    assert (rally.minimum, rally.cap_units, rally.limit_per_fan, rally.basis) == (2, 9, 4, "joiners")
    assert rally.sale.state == SaleState.SCHEDULED


def test_a_rally_is_closed_and_settled_at_once():
    rally = open_rally("--tiers", "1:100.00", "3:52.00")
    fans = make_fans(3, funds=10_000)
    for fan in fans:
        join(rally, fan, at=rally.sale.opens_at)

    ended = run("end_rally", "--sale", str(rally.sale_id))

    assert (ended["state"], ended["joiners"], ended["price_minor"]) == ("settled", 3, 5_200)
    assert (ended["charged"], ended["released"], ended["gross_minor"]) == (3, 0, 15_600)
    assert {wallet(fan).available_minor for fan in fans} == {4_800}
    assert run("end_rally", "--sale", str(rally.sale_id)) == ended  # a repeat changes nothing


@pytest.mark.parametrize("tiers", [["100.00"], ["x:100.00"], ["1:much"], ["2:100.00"], ["1:52.00", "3:100.00"]])
def test_tiers_that_are_none_are_refused(tiers):
    with pytest.raises(CommandError):
        open_rally("--tiers", *tiers)
    assert not Rally.objects.exists()


def test_a_rally_that_is_none_cannot_be_ended():
    with pytest.raises(CommandError, match="There is no rally"):
        run("end_rally", "--sale", str(uuid4()))
