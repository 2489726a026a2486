"""What must be true of the rows, and what they are, for comparing two ways to the same end."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connection

from core.invariants import Finding
from sales import proof, selectors


def broken_checks(sale_id: UUID | None = None) -> list[str]:
    """Every check that does not hold now, of the books and of one sale, or of every published one: the product's one list."""
    findings = [("books", finding) for finding in proof.prove_books().findings]
    sales = selectors.published_sales()
    for sale in sales.filter(id=sale_id) if sale_id else sales:
        findings += [(str(sale.id), finding) for finding in proof.prove_sale(sale, books=False).findings]
    return [_sentence(where, finding) for where, finding in findings if not finding.holds]


def _sentence(where: str, finding: Finding) -> str:
    return f"{finding.check.name} of {where}: expected {finding.expected}, found {finding.found}"


def picture(sale_id: UUID) -> dict[str, Any]:
    """All that is stored of a sale, its money and its due work, without the ids and times that differ from run to run."""
    return {
        "sale": rows("SELECT state, version, terms_version FROM sales_sale WHERE id = %s", sale_id),
        "terms": rows("SELECT count(*) FROM sales_sealedterms WHERE sale_id = %s", sale_id),
        "buckets": rows("SELECT number, units_left, is_closed, version FROM drops_bucket WHERE drop_id = %s", sale_id),
        "limits": rows("SELECT units FROM drops_fanlimit WHERE drop_id = %s", sale_id),
        "orders": rows(
            """SELECT quantity, unit_price_minor, state, is_hold, placed_at, expires_at, changed_at,
                      settlement_id IS NOT NULL
                 FROM drops_order WHERE drop_id = %s""",
            sale_id,
        ),
        "settlements": rows(
            "SELECT number, orders, gross_minor, fee_minor FROM drops_settlement WHERE drop_id = %s", sale_id
        ),
        "rally_buckets": rows(
            "SELECT number, joiners, units, units_left, is_closed, version FROM rallies_bucket WHERE rally_id = %s",
            sale_id,
        ),
        "rally_limited": rows("SELECT level, joiners, units FROM rallies_limitedcount WHERE rally_id = %s", sale_id),
        "joins": rows(
            """SELECT quantity, only_at_or_below_minor, level, state, invited_by_id, joined_at, changed_at
                 FROM rallies_join WHERE rally_id = %s""",
            sale_id,
        ),
        "late_joins": rows("SELECT quantity, joined_at FROM rallies_latejoin WHERE rally_id = %s", sale_id),
        "outcome": rows(
            "SELECT joiners, units, price_minor, did_run, settled_up_to FROM rallies_outcome WHERE rally_id = %s",
            sale_id,
        ),
        "transfers": rows("SELECT kind, code, amount_minor, held_minor, currency, at FROM ledger_transfer"),
        "accounts": rows("SELECT kind, currency, available_minor, held_minor FROM ledger_account"),
        "due_work": rows(
            """SELECT kind, due_at, done_at, parked_at, last_error FROM core_duework WHERE subject_id = %s""", sale_id
        ),
    }


def rows(sql: str, *params: Any) -> list[tuple[Any, ...]]:
    """The rows a query gives, in an order that does not depend on how they were written."""
    with connection.cursor() as cursor:
        cursor.execute(sql, list(params))
        return sorted(cursor.fetchall(), key=repr)
