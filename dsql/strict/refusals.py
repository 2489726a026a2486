"""A refusal in DSQL's words, raised by the server itself."""

from __future__ import annotations

from dataclasses import dataclass

FEATURE_NOT_SUPPORTED = "0A000"
LIMIT_EXCEEDED = "54000"
SYNTAX_ERROR = "42601"
CONFLICT_MESSAGE = "change conflicts with another transaction (OC000)"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A SQLSTATE and the words that go with it."""

    sqlstate: str
    message: str

    def raising_sql(self) -> str:
        """A statement that makes PostgreSQL raise this error.

        An error made up in the client would leave the server's transaction healthy; after a real one everything
        up to ROLLBACK is refused, as on DSQL.
        """
        text = self.message.replace("'", "''").replace("%", "%%")
        return f"DO $strict$ BEGIN RAISE EXCEPTION '{text}' USING ERRCODE = '{self.sqlstate}'; END $strict$"


def unsupported(message: str) -> Refusal:
    return Refusal(FEATURE_NOT_SUPPORTED, message)
