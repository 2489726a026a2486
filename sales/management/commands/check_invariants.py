from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser

from core.invariants import Finding
from sales import proof, selectors


class Command(BaseCommand):
    help = "Run the checks that the proof pages show, for one sale or for all. Exits with 1 when one does not hold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sale", type=UUID, help="only this sale (and the books)")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        sales = selectors.published_sales().order_by("opens_at")
        if options["sale"]:
            sales = sales.filter(id=options["sale"])
            if not sales:
                self.stderr.write(f"There is no published sale {options['sale']}.")
                raise SystemExit(1)
        results = [("books", proof.prove_books().findings)]
        results += [(str(sale.id), proof.prove_sale(sale, books=False).findings) for sale in sales]
        holds = all(finding.holds for _, findings in results for finding in findings)
        if options["json"]:
            report = {"holds": holds, "checks": {name: [f.as_json() for f in found] for name, found in results}}
            self.stdout.write(json.dumps(report))
        else:
            for name, findings in results:
                self._print(name, findings)
        if not holds:
            raise SystemExit(1)

    def _print(self, name: str, findings: list[Finding]) -> None:
        self.stdout.write(name)
        for finding in findings:
            mark = self.style.SUCCESS("holds ") if finding.holds else self.style.ERROR("BROKEN")
            line = f"  {mark} {finding.check.name}: expected {finding.expected}, found {finding.found}"
            self.stdout.write(line)
