from __future__ import annotations

from uuid import UUID

from django import template

from accounts import selectors

register = template.Library()


@register.simple_tag
def unread_notifications(user_id: UUID) -> int:
    """How many the user has not looked at, for the head of a page."""
    return selectors.count_unread(user_id)
