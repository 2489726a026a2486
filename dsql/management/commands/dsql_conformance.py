"""`manage.py dsql_conformance`: does the database answer what DSQL answers?"""

from __future__ import annotations

import json
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, DatabaseError

from dsql.conformance import report
from dsql.conformance.cases import Suite, load
from dsql.conformance.runner import FAILED, CaseResult, run
from dsql.conformance.target import Target


class Command(BaseCommand):
    help = (
        "Ask the database what DSQL is known to answer, in a schema made for it: strict mode on the configured "
        "PostgreSQL, or a cluster where DSQL_ENDPOINTS or OPTIONS['endpoints'] names one. Exit 1 if a case fails."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS)
        parser.add_argument("--case", type=int, nargs="+", default=[], metavar="N", help="Run these cases only.")
        parser.add_argument("--json", action="store_true", help="Print one JSON document; progress goes to stderr.")

    def handle(self, *args: Any, database: str, case: list[int], **options: Any) -> None:
        suite = load()
        if unknown := sorted(set(case) - {known.number for known in suite.cases}):
            raise CommandError(f"There is no case {', '.join(map(str, unknown))}.")
        try:
            results = self.run(suite, Target.of_alias(database), case, as_json=options["json"])
        except (ImproperlyConfigured, DatabaseError, psycopg.Error) as error:
            raise CommandError(f"The cases could not be asked: {error}") from error
        if any(result.verdict == FAILED for result in results):
            raise SystemExit(1)

    def run(self, suite: Suite, target: Target, numbers: list[int], *, as_json: bool) -> list[CaseResult]:
        out = self.stderr if as_json else self.stdout
        results = []
        with target:
            out.write(f"Asking {target.name}, server version {target.server_version}, schema {target.schema}.")
            if leftovers := target.leftovers:
                out.write(f"Schemas of other runs are there too; drop those of killed ones: {', '.join(leftovers)}.")
            out.write(report.heading())
            for result in run(suite, target, numbers):
                results.append(result)
                for line in report.lines(result):
                    out.write(line)
            out.write(report.summary(results))
            if as_json:
                self.stdout.write(json.dumps(report.as_json(target, results), indent=2))
        return results
