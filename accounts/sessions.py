"""Sessions for a database that refuses the second of two writers: it writes again instead of failing the request."""

from __future__ import annotations

from django.contrib.sessions.backends import cached_db
from django.contrib.sessions.backends.base import UpdateError

TRIES = 5


class SessionStore(cached_db.SessionStore):
    """Django's, in cache and database. Of two requests that change one session at once the last one wins."""

    def save(self, must_create: bool = False) -> None:
        for tries_left in reversed(range(TRIES)):
            try:
                super().save(must_create)
            except UpdateError:
                # Met by another writer; or it is gone, because somebody logged out.
                if not tries_left or not self.exists(self.session_key or ""):
                    raise
            else:
                return
