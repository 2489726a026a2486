"""Settings. Each part moves to a real server by one variable; nothing else changes.

`docs/operations.md` has them all. With PRODUCTION=1 nothing starts that would be unsafe (`dropfront/safety.py`).
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from dropfront import safety
from embedded import env as embedded_env
from payments import names as payment_names

BASE_DIR = Path(__file__).resolve().parent.parent

# The addresses of a running `bin/up`, for commands run by hand beside it. Fills only what is not set.
embedded_env.load(BASE_DIR)

DEBUG = os.environ.get("DEBUG", "") == "1"
# A real deployment says so; everything that must not happen there (minting fans, simulated money) asks this.
PRODUCTION = os.environ.get("PRODUCTION", "") == "1"

SECRET_KEY = os.environ.get("SECRET_KEY", "")
if not SECRET_KEY:
    raise ImproperlyConfigured("Set SECRET_KEY (bin/up makes one for local use).")

# Keys that were in use before: what they signed stays good until they are taken out.
SECRET_KEY_FALLBACKS = [key for key in os.environ.get("SECRET_KEY_FALLBACKS", "").split(",") if key]
# Fans' names on proofs are made with it. Proofs are for ever, so it never changes; locally it follows the other key.
PSEUDONYM_KEY = os.environ.get("PSEUDONYM_KEY") or SECRET_KEY

# The port in links to this site, where it is neither the usual one nor the process' own: of a proxy in front.
PUBLIC_PORT = os.environ.get("PUBLIC_PORT", "")
ALLOWED_HOSTS = [host for host in os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",") if host]

# Where the site is reached, for links in mail that no request asked for.
SITE_ORIGIN = os.environ.get("SITE_ORIGIN") or f"{'https' if PRODUCTION else 'http'}://{ALLOWED_HOSTS[0]}"

INSTALLED_APPS = [
    "dsql",
    "core",
    "accounts",
    "sellers",
    "pictures",
    "products",
    "ledger",
    "payments",
    "live",
    "sales",
    "drops",
    "rallies",
    "auctions",
    "dropfront",
    "daphne",  # before staticfiles: `runserver` is then Channels' own
    "unfold",  # before admin, whose pages it dresses
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.sitemaps",
    "channels",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
]

MIDDLEWARE = [
    "core.http.RequestIdMiddleware",
    "core.http.HeadMiddleware",
    "core.http.ApiMiddleware",
    "django.middleware.security.SecurityMiddleware",
    # Pages carry tokens beside what a visitor wrote; Django's own puts as much noise into each answer as BREACH would need to hear.
    "django.middleware.gzip.GZipMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "core.http.StaffPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "core.language.ZoneMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "core.actor.ActorMiddleware",
    "accounts.middleware.SecondFactorMiddleware",
    "sellers.middleware.HandleMiddleware",
    "core.http.RefusalMiddleware",
]

ROOT_URLCONF = "dropfront.urls"
ASGI_APPLICATION = "dropfront.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["core.templatetags.words"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.template.context_processors.i18n",
                "django.template.context_processors.tz",
                "django.contrib.messages.context_processors.messages",
                "core.http.page_context",
                "dropfront.appearance.appearance",
            ],
        },
    }
]


# The database


def _from_url(url: str) -> dict[str, Any]:
    """postgres://user:password@host:port/name, or with ?host=/socket/dir for a unix socket."""
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return {
        "NAME": unquote(parts.path.lstrip("/")) or "dropfront",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.get("host") or parts.hostname or "",
        "PORT": query.get("port") or str(parts.port or ""),
    }


def _nearest_first(endpoints: str) -> list[str]:
    """The given endpoints; each web process of this machine calls another one its nearest, so that all are in use."""
    listed = endpoints.split(",")
    first = int(os.environ.get("DROPFRONT_SLOT", "0")) % len(listed)
    return listed[first:] + listed[:first]


_POOL = {"min_size": 1, "max_size": int(os.environ.get("DATABASE_POOL_MAX", "12")), "timeout": 1.0}

DATABASES: dict[str, dict[str, Any]]
if os.environ.get("DSQL_ENDPOINTS"):
    DATABASES = {
        "default": {
            "ENGINE": "dsql",
            "NAME": "postgres",
            "USER": os.environ.get("DSQL_USER", "admin"),
            "OPTIONS": {
                "endpoints": os.environ["DSQL_ENDPOINTS"].split(","),
                "pool": _POOL,
            },
        }
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "dsql",
            **_from_url(os.environ.get("DATABASE_URL", "postgres://dropfront@127.0.0.1:5432/dropfront")),
            "OPTIONS": {"strict": True, "pool": _POOL},
        }
    }
    if os.environ.get("DATABASE_ENDPOINTS"):
        # Several doors to that one PostgreSQL, host:port each: `bin/up --regions 2`.
        DATABASES["default"]["OPTIONS"]["endpoints"] = _nearest_first(os.environ["DATABASE_ENDPOINTS"])

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")

CACHES = {
    "default": {
        "BACKEND": "core.cache.ForgivingRedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 1},
        "KEY_PREFIX": "cache",
    }
}
# Sockets get frames from the process' own hub; the layer is only for rare messages to one consumer.
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# Celery: a message only says "look now"; the rows are the queue.
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://") if REDIS_URL.startswith("unix://") else REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
_VISIBILITY_S = 60
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": _VISIBILITY_S, "global_keyprefix": "celery:"}
CELERY_BEAT_SCHEDULE = {
    "look-for-due-work": {"task": "core.tasks.look_for_due_work", "schedule": 1.0, "options": {"expires": 5}},
    "fulfil-proof-wishes": {"task": "sales.tasks.fulfil_proof_wishes", "schedule": 2.0, "options": {"expires": 5}},
    "prove-in-turn": {"task": "sales.tasks.prove_in_turn", "schedule": 60.0, "options": {"expires": 30}},
    "check-books": {"task": "sales.tasks.check_books", "schedule": 300.0, "options": {"expires": 60}},
    "checkpoint-accounts": {"task": "ledger.tasks.checkpoint_accounts", "schedule": 600.0, "options": {"expires": 60}},
}


# Accounts

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_CONFIRM_EMAIL_ON_GET = False
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {"signup": "accounts.forms.SignUpForm", "add_email": "accounts.forms.AddEmailForm"}
# A session alone does not change how an account is entered, and the address it had before hears of every change.
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_MAX_EMAIL_ADDRESSES = 2
ACCOUNT_EMAIL_SUBJECT_PREFIX = "Dropfront: "
# An address is confirmed by a link, which works in any browser and however often the form was sent; or by logging in with a code
# that is mailed, so that on a phone nobody leaves a sale for it.
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
# Second factors, and passkeys instead of passwords.
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Dropfront"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PRODUCTION
STAFF_NEED_SECOND_FACTOR = PRODUCTION  # on one machine staff go without
# New shops publish once staff have approved them. Whoever says nothing is on the safe side: only "0" takes it away there.
SELLERS_NEED_APPROVAL = safety.is_on(os.environ.get("SELLERS_NEED_APPROVAL"), unsaid=PRODUCTION)
# Of an account alone; of an account and a client together `accounts.adapter` counts.
ACCOUNT_RATE_LIMITS = {"login_failed": "20/m/ip,50/h/key"}
# Limits are counted per client address; behind proxies that is the address they saw, never one the client wrote.
ALLAUTH_TRUSTED_PROXY_COUNT = int(os.environ.get("TRUSTED_PROXIES", "0"))
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

# Where there is no mail server, each mail becomes a file in a folder (`core/mailbox.py`), which /dev/mail/ shows.
EMAIL_FILE_PATH = os.environ.get("EMAIL_FILE_PATH") or (
    None if PRODUCTION or os.environ.get("EMAIL_HOST") else str(BASE_DIR / ".data" / "mail")
)
EMAIL_BACKEND = "core.mailbox.FolderBackend" if EMAIL_FILE_PATH else "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = os.environ.get("EMAIL_HOST", "")
EMAIL_PORT = int(os.environ.get("EMAIL_PORT", "587"))
EMAIL_HOST_USER = os.environ.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = os.environ.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = bool(EMAIL_HOST)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = os.environ.get("DEFAULT_FROM_EMAIL", "Dropfront <no-reply@localhost>")


# Security. Plain http is for one machine; PRODUCTION means https.

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ALLAUTH_TRUSTED_PROXY_COUNT else None
SECURE_SSL_REDIRECT = PRODUCTION
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 63_072_000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = PRODUCTION
SECURE_HSTS_PRELOAD = PRODUCTION
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_NAME = "__Host-session" if PRODUCTION else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if PRODUCTION else "csrf"
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True  # pages carry the token in their forms
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_ENGINE = "accounts.sessions"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "dropfront.views.csrf_failure"
# Pictures that sellers upload: on disk, or in a bucket of S3 whose public address PICTURES_URL is.
PICTURES_BUCKET = os.environ.get("PICTURES_BUCKET", "")
PICTURES_URL = os.environ.get("PICTURES_URL", "")
MEDIA_ROOT = Path(os.environ.get("MEDIA_ROOT") or BASE_DIR / ".data" / "media")
MEDIA_URL = "/media/"
_PICTURES: dict[str, Any] = (
    {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": PICTURES_BUCKET,
            "custom_domain": urlsplit(PICTURES_URL).netloc or None,
            "querystring_auth": False,
            "object_parameters": {"CacheControl": "public, max-age=31536000, immutable"},
        },
    }
    if PICTURES_BUCKET
    else {"BACKEND": "django.core.files.storage.FileSystemStorage"}
)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:", *([PICTURES_URL] if PICTURES_URL else [])],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "manifest-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}
# Staff's pages are Unfold's, whose scripts are compiled from attributes. They show little that fans wrote, to few people, who are
# asked for a second factor; nobody else's pages are let do that (`core.http.StaffPolicyMiddleware`).
STAFF_CONTENT_SECURITY_POLICY = {
    "script-src": ["'self'", "'unsafe-eval'"],
    "style-src": ["'self'", "'unsafe-inline'"],
}
UNFOLD = {
    "SITE_TITLE": "Dropfront staff",
    "SITE_HEADER": "Dropfront staff",
    "SITE_SYMBOL": "confirmation_number",
    "SITE_URL": "/",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "dropfront.staff.dashboard",
    "COLORS": {
        "primary": {
            "50": "oklch(0.97 0.02 40)", "100": "oklch(0.94 0.035 40)", "200": "oklch(0.88 0.07 40)",
            "300": "oklch(0.81 0.11 40)", "400": "oklch(0.72 0.16 38)", "500": "oklch(0.62 0.2 35)",
            "600": "oklch(0.55 0.195 33)", "700": "oklch(0.48 0.175 33)", "800": "oklch(0.41 0.15 33)",
            "900": "oklch(0.35 0.12 33)", "950": "oklch(0.25 0.09 33)",
        }
    },
}  # fmt: skip
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
# Of a web process (`core.edge`). One address may have fewer, where clients reach it without a proxy.
CONNECTIONS_MAX = int(os.environ.get("CONNECTIONS_MAX", "20000"))
CONNECTIONS_PER_ADDRESS_MAX = int(os.environ.get("CONNECTIONS_PER_ADDRESS_MAX", "2000"))
# Strangers behind one address who watch sales, of a web process: a whole campus may be. Fans have bounds of their own.
VIEWERS_PER_ADDRESS_MAX = int(os.environ.get("VIEWERS_PER_ADDRESS_MAX", "500"))

# Whom people write to whose shop waits or is switched off; nothing is said where it is empty.
SUPPORT_EMAIL = os.environ.get("SUPPORT_EMAIL", "")
# Whom faults can be told, as RFC 9116 wants it: mailto:… or https://…
SECURITY_CONTACT = os.environ.get("SECURITY_CONTACT", "")
METRICS_TOKEN = os.environ.get("METRICS_TOKEN", "")
PAYMENT_PROVIDER = os.environ.get("PAYMENT_PROVIDER") or payment_names.SIMULATED


# Language, time, files

LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]  # the words of templates/ and of scripts; each app brings its own
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Where `collectstatic` has put the files, hashed and compressed; without it they are served from where they lie.
STATIC_ROOT = Path(os.environ.get("STATIC_ROOT") or BASE_DIR / "staticfiles")
IS_STATIC_COLLECTED = PRODUCTION or "STATIC_ROOT" in os.environ
STORAGES = {
    "default": _PICTURES,
    "staticfiles": {
        "BACKEND": "dropfront.static.HashedStaticFilesStorage"
        if IS_STATIC_COLLECTED
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not IS_STATIC_COLLECTED
warnings.filterwarnings("ignore", message="No directory at", module="django.core.handlers.base")
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_ALLOW_ALL_ORIGINS = False  # our files are for our pages

LOGGING_CONFIG = None  # core.logs sets up structlog and the standard library's loggers together
from core import logs  # noqa: E402

logs.configure(json=PRODUCTION, level=os.environ.get("LOG_LEVEL", "INFO"))

if PRODUCTION and (_faults := safety.faults(globals(), os.environ, payment_names.REAL)):
    raise ImproperlyConfigured("This is not safe in production:\n" + "\n".join(f"- {fault}" for fault in _faults))
