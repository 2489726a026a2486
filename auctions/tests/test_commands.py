"""`manage.py open_auction`."""

from __future__ import annotations

import datetime as dt
import io
import json
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from auctions.models import Dutch, English
from sales.models import Sale, SaleState
from tests.tools.shop import make_seller

pytestmark = pytest.mark.django_db(transaction=True)

ALL = [
    "--start", "10.00", "--reserve", "30.00", "--buy-now", "80.00", "--steps", "0:0.05,1:0.25", "--window-s", "60",
    "--extend-s", "90", "--closes-in", "600", "--hard-end-in", "900", "--premium-bps", "1250",
]  # fmt: skip


def open_auction(*arguments: str, model: Any = English) -> Any:
    out = io.StringIO()
    call_command("open_auction", "--seller", make_seller().handle, *arguments, "--json", stdout=out)
    return model.objects.select_related("sale").get(sale_id=UUID(json.loads(out.getvalue())["sale_id"]))


def test_an_auction_is_published_with_the_given_terms():
    english = open_auction("--kind", "english", *ALL)

    assert (english.start_minor, english.reserve_minor, english.buy_now_minor) == (1_000, 3_000, 8_000)
    assert english.steps == "0:5,100:25"
    assert (english.window_s, english.extension_s, english.overtime_s) == (60, 90, 300)
    assert english.premium_bps == 1_250
    assert english.sale.closes_at - english.sale.opens_at == dt.timedelta(seconds=600)
    assert english.sale.state == SaleState.SCHEDULED


def test_what_is_not_said_is_not_there():
    english = open_auction("--start", "10.00")

    assert (english.reserve_minor, english.buy_now_minor, english.premium_bps) == (None, None, 0)
    assert (english.steps, english.window_s, english.extension_s, english.overtime_s) == ("0:100", 180, 180, 3_600)


def test_a_falling_price_is_published_with_the_given_terms():
    given = ["--floor", "4.00", "--step", "0.50", "--interval-s", "30", "--units", "5", "--pays", "last"]
    dutch = open_auction("--kind", "dutch", "--start", "10.00", *given, model=Dutch)

    assert (dutch.start_minor, dutch.floor_minor, dutch.step_minor, dutch.interval_s) == (1_000, 400, 50, 30)
    assert (dutch.units_total, dutch.pays, dutch.sale.state) == (5, "last", SaleState.SCHEDULED)


def test_a_kind_that_is_still_to_come_is_refused():
    with pytest.raises(CommandError, match="kind sealed cannot be opened yet"):
        open_auction("--kind", "sealed", "--start", "10.00")
    assert not Sale.objects.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--start", "much"],
        ["--start", "0"],
        ["--start", "10.00", "--steps", "1:5"],
        ["--start", "10.00", "--steps", "soon"],
        ["--start", "10.00", "--reserve", "30.00", "--buy-now", "20.00"],
        ["--start", "10.00", "--window-s", "-1"],
        ["--start", "10.00", "--closes-in", "600", "--hard-end-in", "599"],
        ["--start", "10.00", "--premium-bps", "-1"],
        ["--start", "10.00", "--currency", "PLAY"],
        ["--start", "10.00", "--kind", "dutch", "--floor", "10.00"],
        ["--start", "10.00", "--kind", "dutch", "--units", "0"],
    ],
)
def test_terms_that_are_none_are_refused(arguments):
    with pytest.raises(CommandError):
        open_auction(*arguments)
    assert not Sale.objects.exists()
