"""What must be true of the rows, and what they are, for comparing two ways to the same end."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import connection
from django.db.models import Model, UUIDField

from core.invariants import Finding
from sales import proof, selectors
from sales.formats import get_format
from sales.models import BuyersWeek, ProofRun, Sale, ShopBuyers


def broken_checks(sale_id: UUID | None = None) -> list[str]:
    """Every check that does not hold now, of the books and of one sale, or of every published one: the product's one list."""
    findings = [("books", finding) for finding in proof.prove_books().findings]
    sales = selectors.published_sales()
    for sale in sales.filter(id=sale_id) if sale_id else sales:
        findings += [(str(sale.id), finding) for finding in proof.prove_sale(sale, books=False).findings]
    return [_sentence(where, finding) for where, finding in findings if not finding.holds]


def _sentence(where: str, finding: Finding) -> str:
    return f"{finding.check.name} of {where}: expected {finding.expected}, found {finding.found}"


# A run is about the books as a whole too, and the others are figures of a shop.
NOT_OF_A_SALE = (Sale, ProofRun, ShopBuyers, BuyersWeek)


def picture(sale_id: UUID) -> dict[str, Any]:
    """All that is stored of a sale, its money and its due work, without the ids and times that differ from run to run."""
    sale = Sale.objects.filter(id=sale_id).first()
    seen: dict[str, Any] = {
        "sale": rows("SELECT state, version, terms_version, frozen_ms FROM sales_sale WHERE id = %s", sale_id),
        "transfers": rows("SELECT kind, code, amount_minor, held_minor, currency, at FROM ledger_transfer"),
        "accounts": rows("SELECT kind, currency, available_minor, held_minor FROM ledger_account"),
        "due_work": rows(
            "SELECT kind, due_at, done_at, parked_at, last_error FROM core_duework WHERE subject_id = %s", sale_id
        ),
    }
    for app in ("sales", get_format(sale.format).app_label) if sale else ():
        for model in apps.get_app_config(app).get_models():
            if model not in NOT_OF_A_SALE:
                seen[model._meta.db_table] = _rows_of(model, sale_id)
    return seen


# Made anew in every run, whatever happens in it.
_MADE_UP = {
    "fan_id",
    "seller_id",
    "idempotency_key",
    "transfer_id",
    "invite_code",
    "settlement_id",
    "seller_invite",
    "sha256",
    "terms_sha256",
    "text",
}


def _rows_of(model: type[Model], sale_id: UUID) -> list[tuple[Any, ...]]:
    """The model's rows of this sale, without its id and theirs."""
    of_sale = next(
        field.column
        for field in model._meta.concrete_fields
        if field.is_relation and _leads_to_sale(field.related_model)
    )
    columns = [
        field.column
        for field in model._meta.concrete_fields
        if field.column
        and field.column not in _MADE_UP
        and not (field.primary_key and isinstance(field, UUIDField))
        and field.column not in ("id", of_sale)
    ]
    table = model._meta.db_table
    return rows(f"SELECT {', '.join(columns)} FROM {table} WHERE {of_sale} = %s", sale_id)


def _leads_to_sale(model: Any) -> bool:
    """The sale itself, or the format's own row of it, which shares its key."""
    return model is Sale or (model._meta.pk.is_relation and model._meta.pk.related_model is Sale)


def rows(sql: str, *params: Any) -> list[tuple[Any, ...]]:
    """The rows a query gives, in an order that does not depend on how they were written."""
    with connection.cursor() as cursor:
        cursor.execute(sql, list(params))
        return sorted(cursor.fetchall(), key=repr)
