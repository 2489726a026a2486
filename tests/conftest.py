from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.tools.explorer import Scene, explore


@pytest.fixture
def explored(capsys: pytest.CaptureFixture[str]) -> Callable[..., set[str]]:
    """Explores a scene, says how many schedules there were, and gives the outcomes that came up."""

    def run(name: str, scene: Callable[[], Scene], **options: Any) -> set[str]:
        found = explore(name, scene, **options)
        with capsys.disabled():
            print(f"\n  {name}: {found}", end="")
        return set(found.outcomes)

    return run
