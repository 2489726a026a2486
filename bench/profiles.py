"""`--profile`: where the time goes inside the web processes of a benchmark, by `dropfront.profiling`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from bench.servers import ROOT, environ
from bench.stampede import say

FOLDER = os.path.join(".data", "profile")


@contextlib.contextmanager
def written(is_wanted: bool) -> Iterator[None]:
    """All web processes started in the block are profiled, if that is wanted; then say where the files are."""
    if not is_wanted:
        yield
        return
    folder = ROOT / FOLDER
    before = set(folder.glob("*"))
    with environ({"DROPFRONT_PROFILE": "1", "DROPFRONT_PROFILE_DIR": str(folder)}):
        yield
    say(f"Profiled processes are slower. {len(set(folder.glob('*')) - before)} new files are in {folder}:")
    for path in sorted(set(folder.glob("*.txt")) - before):
        say(f"  {path.name}, and {path.stem}.collapsed for a flame graph")
