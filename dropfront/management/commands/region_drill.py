from __future__ import annotations

import dataclasses
import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from bench import region_drill
from bench.region_drill import WINDOW_MAX_S, Report


class Command(BaseCommand):
    help = (
        "Fans join a rally through two endpoints, one is killed in the middle and comes back. Reports joins acknowledged, lost "
        "and doubled, and for how long fans met errors. Exits with 1 unless nothing was lost or doubled. Refused in production."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fans", type=int, default=3_000)
        parser.add_argument("--seconds", type=float, default=15.0, help="how long they take to join (15)")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("The drill makes fans and their money out of nothing, so it is refused in production.")
        say = self.stderr.write if options["json"] else self.stdout.write
        report = region_drill.run(fans=options["fans"], seconds=options["seconds"], say=say)
        if options["json"]:
            self.stdout.write(json.dumps({"passed": report.passed, **dataclasses.asdict(report)}))
        else:
            self._print(report)
        if not report.passed:
            raise SystemExit(1)

    def _print(self, report: Report) -> None:
        errors = ", ".join(f"{count} of {name}" for name, count in report.errors.items()) or "none"
        counts = ", ".join(f"{address}: {count}" for address, count in report.counts.items())
        for line in (
            f"joins acknowledged {report.acknowledged} of {report.fans}, lost {report.lost}, doubled {report.doubled}",
            f"errors that fans met: {errors}",
            f"error window {report.window_s:.2f} s after the kill (at most {WINDOW_MAX_S:.0f}); "
            f"the longest wait of a fan {report.longest_wait_s:.2f} s",
            f"the count through each endpoint, read {report.counts_apart_ms:.1f} ms apart: {counts}",
            f"checks that do not hold: {', '.join(report.broken_checks) or 'none'}",
            "passed" if report.passed else "FAILED",
        ):
            self.stdout.write(line)
