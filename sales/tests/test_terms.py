from __future__ import annotations

import datetime as dt
import hashlib

import pytest

from sales.models import SealedTerms
from sales.terms import canonical_text, sha256_of
from tests.tools.shop import NOW
from tests.tools.truth import broken_checks


def test_the_text_is_the_same_for_everybody():
    terms = {
        "b": 7,
        "a": "x  y\n",
        "d": None,
        "c": dt.datetime(2026, 3, 2, 13, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    }

    assert canonical_text(terms) == "a: x y\nb: 7\nc: 2026-03-02T12:00:00.000000+00:00\nd: none\n"


def test_a_line_break_cannot_add_a_term():
    assert canonical_text({"title": "A print\nprice_minor: 1"}) == "title: A print price_minor: 1\n"


def test_a_time_without_a_zone_is_nobodys_promise():
    with pytest.raises(AssertionError):
        canonical_text({"opens_at": dt.datetime(2026, 3, 2, 13)})


@pytest.mark.django_db(transaction=True)
def test_the_promises_are_sealed_at_publish(make_drop, make_seller):
    seller = make_seller(handle="northlight", fee_bps=700)
    drop = make_drop(seller=seller, title="A print", price_minor=2_400, units_total=120, limit_per_fan=2, cancel_s=60)

    sealed = SealedTerms.objects.get(sale=drop.sale)

    assert sealed.text == (
        "cancel_s: 60\n"
        "closes_at: 2026-03-02T13:00:00.000000+00:00\n"
        "currency: EUR\n"
        "fee_bps: 700\n"
        "format: drop\n"
        "hold_s: 0\n"
        "limit_per_fan: 2\n"
        "opens_at: 2026-03-02T11:59:00.000000+00:00\n"
        "price_minor: 2400\n"
        f"sale: {drop.sale_id}\n"
        "seller: northlight\n"
        "title: A print\n"
        "units_total: 120\n"
    )
    assert sealed.sha256 == sha256_of(sealed.text) == hashlib.sha256(sealed.text.encode()).hexdigest()
    assert (drop.sale.terms_version, drop.sale.terms_sha256, sealed.sealed_at) == (1, sealed.sha256, NOW)


@pytest.mark.django_db(transaction=True)
def test_a_title_with_any_blanks_and_signs_is_written_down_again_as_it_was_sealed(make_drop):
    blanks = "".join(chr(code) for code in range(0x11000) if chr(code).isspace())

    drop = make_drop(title=f"A lamp{blanks}of 'glass' — 灯 \\s 100 % \"x\"{blanks}{{}}", limit_per_fan=None)

    assert broken_checks(drop.sale_id) == []
