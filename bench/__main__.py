"""`python -m bench drop|rally|strict|proof [--json] [--rounds N] [--data DIR]`.

Exits with 1 when a promise was broken, however fast.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from bench import drop, drop_report, proof, rally, rally_report, strict
from bench.servers import ROOT
from core.embedded.errors import StartError


def main() -> int:
    options = parse_options()
    os.chdir(ROOT)  # web processes are started with `-m`, which looks here
    data = options.data and options.data.resolve()
    try:
        return {"drop": run_drop, "rally": run_rally, "strict": run_strict, "proof": run_proof}[options.format](
            options, data
        )
    except StartError as error:
        print(error, file=sys.stderr)
        return 1


def run_drop(options: argparse.Namespace, data: Path | None) -> int:
    findings = drop.run(rounds=options.rounds, data=data)
    print(drop_report.as_json(findings) if options.json else drop_report.as_text(findings))
    return 1 if findings.problems else 0


def run_rally(options: argparse.Namespace, data: Path | None) -> int:
    if options.naive:
        runs = rally.compare(rounds=options.rounds, data=data)
        print(rally_report.comparison_as_json(runs) if options.json else rally_report.comparison_as_text(runs))
        return 1 if any(product.problems for product, _ in runs) else 0
    findings = rally.run(rounds=options.rounds, joiners=options.joiners, fans=options.fans, data=data)
    print(rally_report.as_json(findings) if options.json else rally_report.as_text(findings))
    return 1 if findings.problems else 0


def run_strict(options: argparse.Namespace, data: Path | None) -> int:
    findings = strict.run(rounds=options.rounds, data=data)
    print(strict.as_json(findings) if options.json else strict.as_text(findings))
    return 0


def run_proof(options: argparse.Namespace, data: Path | None) -> int:
    findings = proof.run(sizes=options.orders, data=data)
    print(proof.as_json(findings) if options.json else proof.as_text(findings))
    return 1 if findings.problems else 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/bench", description="Measure Dropfront on servers of its own (Linux).")
    formats = parser.add_subparsers(dest="format", required=True)
    add_format(formats, "drop", rounds=3, help="a stampede on a drop: about four minutes")
    rallies = add_format(formats, "rally", rounds=3, help="a stampede on a rally, and settling it: about ten minutes")
    rallies.add_argument("--joiners", type=int, default=100_000, metavar="N", help="of the large crowd that is settled")
    rallies.add_argument("--fans", type=int, default=rally.FANS, metavar="N", help=f"who join by HTTP ({rally.FANS:,})")
    rallies.add_argument(
        "--naive", action="store_true", help="only the stress run, beside a rally as one writes it first"
    )
    add_format(formats, "strict", rounds=5, help="what strict mode adds to a statement: about a minute")
    proofs = add_format(formats, "proof", rounds=None, help="the proof of a large sale: about five minutes")
    proofs.add_argument("--orders", type=int, nargs="+", default=proof.SIZES, metavar="N", help="of each sale")
    return parser.parse_args()


def add_format(formats: Any, name: str, *, rounds: int | None, help: str) -> argparse.ArgumentParser:
    parser = formats.add_parser(name, help=help)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    if rounds is not None:
        text = f"how often everything is measured ({rounds})"
        parser.add_argument("--rounds", type=int, default=rounds, metavar="N", help=text)
    parser.add_argument("--data", type=Path, metavar="DIR", help="a new folder for the servers; deleted afterwards")
    return parser  # type: ignore[no-any-return]


if __name__ == "__main__":
    sys.exit(main())
