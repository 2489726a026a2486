"""What a production site must not start with. Settings ask this, so that every process refuses: web, worker, beat, any command.

Each fault is one sentence that says what to do. All of them are told at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from payments.names import NONE, SIMULATED

KEY_LENGTH_MIN = 50  # what Django's own check asks for
KEY_CHARACTERS_MIN = 10  # different ones


def is_on(said: str | None, *, unsaid: bool) -> bool:
    """A guard's variable: only "0" switches it off, and without a word it is as `unsaid`."""
    return said.strip() != "0" if said and said.strip() else unsaid


def faults(settings: Mapping[str, Any], environ: Mapping[str, str], providers: frozenset[str]) -> list[str]:
    """Why a site with these settings must not serve strangers. `providers` are the names of those who move real money."""
    found = []
    if settings["DEBUG"]:
        found.append("DEBUG shows a stranger what the site is made of: leave it out.")
    for name, keys in (
        ("SECRET_KEY", [settings["SECRET_KEY"]]),
        ("SECRET_KEY_FALLBACKS", settings["SECRET_KEY_FALLBACKS"]),
        ("PSEUDONYM_KEY", [settings["PSEUDONYM_KEY"]]),
    ):
        if not all(_is_strong(key) for key in keys):
            found.append(
                f"{name} must be a random text of at least {KEY_LENGTH_MIN} characters: whoever guesses it is anybody."
            )
    if not environ.get("PSEUDONYM_KEY") or settings["PSEUDONYM_KEY"] == settings["SECRET_KEY"]:
        found.append("PSEUDONYM_KEY must be a key of its own: names on old proofs hang on it, so it never changes.")
    hosts = settings["ALLOWED_HOSTS"]
    if not environ.get("ALLOWED_HOSTS") or "*" in hosts:
        found.append("ALLOWED_HOSTS must name the site's own hosts, and not *.")
    if settings["PAYMENT_PROVIDER"] not in providers | {NONE} or not environ.get("PAYMENT_PROVIDER"):
        known = " or ".join(sorted({NONE, *providers}))
        found.append(f"PAYMENT_PROVIDER must be {known}: {SIMULATED} gives everybody money that nobody paid.")
    if not settings["EMAIL_HOST"] or settings["EMAIL_FILE_PATH"]:
        found.append(
            "EMAIL_HOST must name a mail server, and EMAIL_FILE_PATH nothing: mail holds links by which people log in."
        )
    if not environ.get("DEFAULT_FROM_EMAIL") or "@localhost" in settings["DEFAULT_FROM_EMAIL"]:
        found.append("DEFAULT_FROM_EMAIL must be an address of the site's own, or its mail is thrown away.")
    if not environ.get("DSQL_ENDPOINTS") and not environ.get("DATABASE_URL"):
        found.append("DSQL_ENDPOINTS or DATABASE_URL must say where the database is.")
    if not environ.get("REDIS_URL"):
        found.append("REDIS_URL must say where Valkey is.")
    if settings["ALLAUTH_TRUSTED_PROXY_COUNT"] < 1:
        found.append(
            "TRUSTED_PROXIES must be 1 or more: web processes speak plain http, so something in front must speak https."
        )
    return found


def _is_strong(key: str) -> bool:
    return len(key) >= KEY_LENGTH_MIN and len(set(key)) >= KEY_CHARACTERS_MIN
