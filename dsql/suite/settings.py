"""Settings for Django's test-suite on this backend. DATABASE_URL names the PostgreSQL to use."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from dsql.suite.variables import FOREIGN_KEYS_VARIABLE


def databases(engine: str, **settings: Any) -> dict[str, Any]:
    """The two aliases that Django's tests ask for, both on the server that DATABASE_URL names."""
    url = urlsplit(os.environ["DATABASE_URL"])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    server = {
        "ENGINE": engine,
        "USER": unquote(url.username or query.get("user", "")),
        "PASSWORD": unquote(url.password or ""),
        "HOST": query.get("host") or unquote(url.hostname or ""),
        "PORT": query.get("port") or url.port or "",
        **settings,
    }
    return {"default": {**server, "NAME": "django_suite"}, "other": {**server, "NAME": "django_suite_other"}}


SECRET_KEY = "django_tests_secret_key"  # noqa: S105  (a test looks for these words)
DATABASES = databases("dsql", OPTIONS={"foreign_keys": os.environ.get(FOREIGN_KEYS_VARIABLE, "skip")})
# What Django's tests are written for, beyond its defaults.
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
TEST_RUNNER = "dsql.suite.runner.DsqlRunner"
