"""`python -m bench drop [--json] [--rounds N] [--data DIR]`. Exits with 1 when a promise was broken, however fast."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench import drop, drop_report
from bench.servers import ROOT
from core.embedded.errors import StartError


def main() -> int:
    options = parse_options()
    os.chdir(ROOT)  # web processes are started with `-m`, which looks here
    try:
        findings = drop.run(rounds=options.rounds, data=options.data and options.data.resolve())
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    print(drop_report.as_json(findings) if options.json else drop_report.as_text(findings))
    return 1 if findings.problems else 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/bench", description="Measure Dropfront on servers of its own (Linux).")
    formats = parser.add_subparsers(dest="format", required=True)
    drop_parser = formats.add_parser("drop", help="a stampede on a drop: about four minutes")
    drop_parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    drop_parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often everything is measured (3)")
    drop_parser.add_argument(
        "--data", type=Path, metavar="DIR", help="a new folder for the servers; deleted afterwards"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
