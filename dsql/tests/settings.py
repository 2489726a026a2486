"""Settings for the backend's own tests: DATABASE_URL names the PostgreSQL to use."""

from __future__ import annotations

import os
from urllib.parse import parse_qs, unquote, urlsplit

url = urlsplit(os.environ.get("DATABASE_URL", "postgresql:///dsql"))
query = {name: values[0] for name, values in parse_qs(url.query).items()}

PROJECT_DATABASE = unquote(url.path.lstrip("/"))

SECRET_KEY = "only for tests"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "dsql",
        "NAME": PROJECT_DATABASE,
        "USER": unquote(url.username or query.get("user", "")),
        "PASSWORD": unquote(url.password or ""),
        "HOST": query.get("host") or unquote(url.hostname or ""),
        "PORT": query.get("port") or url.port or "",
        "OPTIONS": {
            "strict": os.environ.get("DSQL_STRICT", "1") == "1",
            "pool": {"min_size": 1, "max_size": 12, "timeout": 1.0},
        },
        # For runs inside a test: a schema instead of a database, as a cluster needs it; a name of their own; no migrations.
        "TEST": {
            "SCHEMA": os.environ.get("DSQL_TEST_SCHEMA") == "1",
            "NAME": os.environ.get("DSQL_TEST_NAME"),
            "MIGRATE": os.environ.get("DSQL_TEST_MIGRATE", "1") == "1",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
ROOT_URLCONF = "dsql.tests.urls"
SITE_ID = 1
# Their migrations are the sternest test of the schema editor.
THIRD_PARTY_APPS = [
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.usersessions",
    "django_celery_beat",
]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.flatpages",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.redirects",
    "django.contrib.sessions",
    "django.contrib.sites",
    *THIRD_PARTY_APPS,
    "dsql",
    "dsql.receipts",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a slow one would only slow the tests
