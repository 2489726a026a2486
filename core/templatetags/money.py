from __future__ import annotations

from django import template

from core.money import Money

register = template.Library()


@register.filter
def money(amount: Money | int, currency: str = "") -> str:
    """An amount as people read it. Takes a Money, or minor units with their currency: `{{ total_minor|money:"EUR" }}`."""
    return str(amount if isinstance(amount, Money) else Money(amount, currency))


@register.filter
def signed_money(minor: int, currency: str) -> str:
    """A movement: with its sign, also when it is a plus."""
    text = str(Money(minor, currency)).replace("-", "\N{MINUS SIGN}")
    return f"+{text}" if minor > 0 else text
