from __future__ import annotations

from functools import partial

import pytest

from drops.models import Bucket
from tests.tools.race import outcomes
from tests.tools.shop import Process, purchase, wallet

pytestmark = pytest.mark.django_db(transaction=True)


def test_ten_buyers_racing_for_three_units_get_three(make_drop, make_fans, race):
    drop = make_drop(units_total=3)
    requests = [purchase(fan) for fan in make_fans(10, funds=1_000)]

    results = race(*[partial(Process(drop, home=n).do, request) for n, request in enumerate(requests)])

    assert outcomes(results) == {"ok": 3, "sold_out": 7}
    assert Bucket.objects.get(drop=drop).units_left == 0
    assert sorted(wallet(request.fan_id).available_minor for request in requests) == [0] * 3 + [1_000] * 7
