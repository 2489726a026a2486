"""Two doors to the database, and one of them dies: the region drill in short, and `bin/up --regions 2`."""

from __future__ import annotations

import json
import sys

import pytest

from tests.e2e.stack import Stack

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the other tests of this shop need Linux"),
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
]


def test_fans_go_on_joining_when_an_endpoint_is_killed_and_comes_back(stack: Stack) -> None:
    report = json.loads(stack.manage("region_drill", "--fans", "300", "--seconds", "6", "--json"))

    print(f"errors for {report['window_s']} s after the kill")  # how long depends on the machine
    assert (report["acknowledged"], report["lost"], report["doubled"]) == (300, 0, 0)
    assert set(report["counts"].values()) == {300}
    assert len(report["counts"]) == 2
    assert report["broken_checks"] == []
