"""The parts of a page that are for some phases of a sale only."""

from __future__ import annotations

from django import template
from django.template import Context
from django.utils.html import format_html, json_script
from django.utils.safestring import SafeString

from sales.phases import Phase, as_data

register = template.Library()


@register.simple_tag(takes_context=True)
def phases(context: Context, *names: str) -> SafeString:
    """Attributes of an element for these phases: `<p{% phases "open" "sold_out" %}>`. In all others it is hidden.

    The page's script reads them when the phase turns. Needs `phase`.
    """
    shown = [Phase(name) for name in names]  # a misspelt one must not be hidden for ever
    hidden = "" if context["phase"] in shown else " hidden"
    return format_html(' data-phases="{}"{}', " ".join(shown), hidden)


@register.simple_tag
def phase_table() -> SafeString:
    """The table of phases as data, which the policy against inline scripts lets pass: nobody runs it."""
    return json_script(as_data(), "phases")
