"""Checks: what must be true of the rows, as a sentence, the SQL anyone can run, and the value it must give.

One list per format (and one for the ledger) serves the public proof page, the tests, every benchmark, beat, and the
`check_invariants` command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

from django.utils.translation import gettext_noop as N_

# What a check is about, for people; a proof shows them in this order.
GOODS = N_("What was sold")
MONEY = N_("The money")
TERMS = N_("The price and the terms")
REST = N_("Its rows and its times")


@dataclass(frozen=True, slots=True)
class Check:
    """`sql` gives one row with two columns, `expected` and `found`, in one statement and so from one snapshot.

    `%(name)s` in it stands for a parameter; all are public (ids of sales, times, sums), so the page can print them filled in.
    """

    name: str
    sentence: str
    sql: str
    about: str = REST

    def printable(self, parameters: Mapping[str, Any]) -> str:
        """The SQL as anyone can paste it into a console."""
        text = dedent(self.sql).strip()
        return re.sub(r"%\((\w+)\)s", lambda match: f"'{parameters[match[1]]}'", text).replace("%%", "%")


@dataclass(frozen=True, slots=True)
class Finding:
    check: Check
    sql: str
    expected: int | None
    found: int | None

    @property
    def holds(self) -> bool:
        # No row at all is a broken check, never a pass.
        return self.expected is not None and self.expected == self.found

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.check.name,
            "sentence": self.check.sentence,
            "sql": self.sql,
            "about": self.check.about,
            "expected": self.expected,
            "found": self.found,
            "holds": self.holds,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Finding:
        """What `as_json` gave. The check is as it was then, whatever has become of it in the program."""
        check = Check(stored["name"], stored["sentence"], stored["sql"], stored.get("about", REST))
        return cls(check, stored["sql"], stored["expected"], stored["found"])


def run(check: Check, parameters: Mapping[str, Any], cursor: Any) -> Finding:
    """Run the check now. It only reads: its SQL is part of the program, and so are its parameters."""
    cursor.execute(check.sql, dict(parameters))
    row = cursor.fetchone()
    expected, found = (None, None) if row is None else row
    as_int = [None if value is None else int(value) for value in (expected, found)]
    return Finding(check, check.printable(parameters), *as_int)
