"""`python -m bench COMMAND [--json] [--rounds N] [--data DIR]`. Exits with 1 when a promise was broken, however fast."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import (
    cluster,
    cluster_report,
    drop,
    drop_report,
    ledger,
    ledger_report,
    profiles,
    proof,
    rally,
    rally_report,
    strict,
)
from bench.servers import ROOT
from embedded.errors import StartError

# The report, and whether every promise was kept.
Report = tuple[str, bool]


@dataclass(frozen=True)
class Command:
    help: str
    rounds: int  # unless asked for
    run: Callable[[argparse.Namespace], Report]
    add_options: Callable[[argparse.ArgumentParser], None] = lambda parser: None


def main() -> int:
    options = parse_options()
    options.data = options.data and options.data.resolve()
    os.chdir(ROOT)  # web processes are started with `-m`, which looks here
    try:
        report, is_kept = COMMANDS[options.command].run(options)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    print(report)
    return 0 if is_kept else 1


# A drop


def drop_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cluster", action="store_true", help="only the unlimited drop, with a database at several distances"
    )
    parser.add_argument("--database-ms", type=float, metavar="MS", help="only with a database so far away a round trip")
    parser.add_argument("--commit-ms", type=float, metavar="MS", help="and so much more for each COMMIT")
    parser.add_argument(
        "--profile", action="store_true", help=f"the web processes write their profiles to {profiles.FOLDER}"
    )


def run_drop(options: argparse.Namespace) -> Report:
    with profiles.written(options.profile):
        return run_cluster(options) if is_far(options) else run_near(options)


def is_far(options: argparse.Namespace) -> bool:
    return options.cluster or options.database_ms is not None or options.commit_ms is not None


def run_near(options: argparse.Namespace) -> Report:
    findings = drop.run(rounds=options.rounds, data=options.data)
    report = drop_report.as_json(findings) if options.json else drop_report.as_text(findings)
    return report, not findings.problems


def run_cluster(options: argparse.Namespace) -> Report:
    asked = cluster.Away(options.database_ms or 0, options.commit_ms or 0)
    distances = cluster.DISTANCES if options.cluster else [asked]
    findings = cluster.run(rounds=options.rounds, distances=distances, data=options.data)
    report = cluster_report.as_json(findings) if options.json else cluster_report.as_text(findings)
    return report, not findings.problems


# A rally


def rally_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--joiners", type=int, default=100_000, metavar="N", help="of the large crowd that is settled")
    parser.add_argument("--fans", type=int, default=rally.FANS, metavar="N", help=f"who join by HTTP ({rally.FANS:,})")
    parser.add_argument(
        "--naive", action="store_true", help="only the stress run, beside a rally as one writes it first"
    )


def run_rally(options: argparse.Namespace) -> Report:
    if options.naive:
        runs = rally.compare(rounds=options.rounds, data=options.data)
        report = rally_report.comparison_as_json(runs) if options.json else rally_report.comparison_as_text(runs)
        return report, not any(product.problems for product, _ in runs)
    findings = rally.run(rounds=options.rounds, joiners=options.joiners, fans=options.fans, data=options.data)
    report = rally_report.as_json(findings) if options.json else rally_report.as_text(findings)
    return report, not findings.problems


# The rest


def run_ledger(options: argparse.Namespace) -> Report:
    findings = ledger.run(rounds=options.rounds, data=options.data)
    report = ledger_report.as_json(findings) if options.json else ledger_report.as_text(findings)
    return report, not findings.problems


def proof_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--orders", type=int, nargs="+", default=proof.SIZES, metavar="N", help="of each sale")


def run_proof(options: argparse.Namespace) -> Report:
    findings = proof.run(sizes=options.orders, data=options.data)
    report = proof.as_json(findings) if options.json else proof.as_text(findings)
    return report, not findings.problems


def run_strict(options: argparse.Namespace) -> Report:
    findings = strict.run(rounds=options.rounds, data=options.data)
    return strict.as_json(findings) if options.json else strict.as_text(findings), True


COMMANDS = {
    "drop": Command("a stampede on a drop: about six minutes", 3, run_drop, drop_options),
    "rally": Command("a stampede on a rally, and settling it: about ten minutes", 3, run_rally, rally_options),
    "ledger": Command("transfers a second, beside django-hordak: about three minutes", 3, run_ledger),
    "proof": Command("the proof of a large sale: about five minutes", 1, run_proof, proof_options),
    "strict": Command("what strict mode adds to a statement: about a minute", 5, run_strict),
}


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/bench", description="Measure Dropfront on servers of its own (Linux).")
    parsers = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        options = parsers.add_parser(name, help=command.help)
        options.add_argument("--json", action="store_true", help="one JSON object on standard output")
        options.add_argument(
            "--rounds", type=int, default=command.rounds, metavar="N",
            help=f"how often everything is measured ({command.rounds})",
        )  # fmt: skip
        options.add_argument(
            "--data", type=Path, metavar="DIR", help="a new folder for the servers; deleted afterwards"
        )
        command.add_options(options)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
