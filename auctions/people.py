"""Who may not bid, as a batch's snapshot shows it: the shop's own people, and accounts that staff have switched off."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from core.sql import Statement, array


def people_statements(sale_id: UUID, fans: Collection[UUID]) -> dict[str, Statement]:
    """For a batch's round trip; `suspended_in` reads the answers."""
    people = """
        SELECT member.user_id FROM sellers_member AS member JOIN sales_sale ON sales_sale.seller_id = member.seller_id
         WHERE sales_sale.id = %s AND member.user_id = ANY(%s::uuid[])
    """
    suspended = "SELECT id FROM accounts_user WHERE id = ANY(%s::uuid[]) AND NOT is_active"
    return {"people": Statement(people, [sale_id, array(fans)]), "suspended": Statement(suspended, [array(fans)])}


def suspended_in(found: Mapping[str, Sequence[tuple[Any, ...]]]) -> tuple[frozenset[UUID], frozenset[UUID]]:
    """The shop's people among the fans, and those who are switched off."""
    people, suspended = (frozenset(row[0] for row in found.get(name, [])) for name in ("people", "suspended"))
    return people, suspended
