"""Which parts of Django's test-suite run when none is named."""

from __future__ import annotations

# What a backend can get wrong: SQL, transactions, migrations, and the apps of every project.
LABELS = [
    "basic",
    "backends",
    "migrations",
    "schema",
    "queries",
    "transactions",
    "model_fields",
    "constraints",
    "lookup",
    "expressions",
    "aggregation",
    "get_or_create",
    "bulk_create",
    "indexes",
    "introspection",
    "delete",
    "fixtures",
    "auth_tests",
    "sessions_tests",
]
