"""Django settings. Settings that differ between installations come from the environment (`.env.example`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF

from deployctl import celery_schedule
from deployctl import environment as env
from deployctl.postgres.connection import KEEPALIVES

BASE_DIR = Path(__file__).resolve().parent.parent
DEPLOYCTL_DATA = env.data_folder()
env.load_environment_file(DEPLOYCTL_DATA / "environment")

DEBUG = env.flag("DEBUG", default=False)
SECRET_KEY = env.secret("SECRET_KEY")
# Always includes loopback, where `deployctl up` checks that the web server is ready.
ALLOWED_HOSTS = [*env.words("ALLOWED_HOSTS"), "localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

# `make run` uses plain HTTP on loopback, where browsers reject `__Host-` cookies, which must be Secure.
HTTPS = env.flag("HTTPS", default=False)

# --- deployctl's own ------------------------------------------------------------------------------

DEPLOYCTL_DEMO = env.flag("DEPLOYCTL_DEMO", default=False)
# Encrypts second factors and stored secrets in the database (see deployctl.accounts.crypto).
DEPLOYCTL_FIELD_KEY = env.secret("DEPLOYCTL_FIELD_KEY")
# Project folders of targets must be below one of these.
DEPLOYCTL_PROJECT_ROOTS = [Path(root) for root in env.words("DEPLOYCTL_PROJECT_ROOTS")]
# Files of `file:` references must be below one of these.
DEPLOYCTL_SECRET_ROOTS = [Path(root) for root in env.words("DEPLOYCTL_SECRET_ROOTS")]
# Configuration files of pgBackRest and folders for its test restores must be below one of these.
DEPLOYCTL_PGBACKREST_ROOTS = [Path(root) for root in env.words("DEPLOYCTL_PGBACKREST_ROOTS")]
DEPLOYCTL_BACKUPS = Path(env.text("DEPLOYCTL_BACKUPS", str(DEPLOYCTL_DATA / "backups")))
# Offsite stores of backups, separated by white space (see deployctl.storage.offsite).
DEPLOYCTL_OFFSITE = env.text("DEPLOYCTL_OFFSITE").split()
# The maximum size of an uploaded backup in MB, as sent and unpacked.
DEPLOYCTL_UPLOAD_MB = env.number("DEPLOYCTL_UPLOAD_MB", 10_240)
DEPLOYCTL_UPLOAD_UNPACKED_MB = env.number("DEPLOYCTL_UPLOAD_UNPACKED_MB", 4 * DEPLOYCTL_UPLOAD_MB)
DEPLOYCTL_STEP_UP_SECONDS = 600
# The URL for range queries of Pwned Passwords; empty disables the check.
BREACHED_PASSWORDS_URL = env.text("BREACHED_PASSWORDS_URL")
# Require a second factor from viewers, too.
SECOND_FACTOR_FOR_ALL = env.flag("SECOND_FACTOR_FOR_ALL", default=False)
# Signs heads and evidence packs; by default DATA/signing-key.pem (audit/signing_keys.py).
DEPLOYCTL_SIGNING_KEY = env.secret("DEPLOYCTL_SIGNING_KEY")
# Former public keys, whose signatures still count.
DEPLOYCTL_FORMER_KEYS = env.words("DEPLOYCTL_FORMER_KEYS")
# Anchor stores for signed heads: addresses as in DEPLOYCTL_OFFSITE.
DEPLOYCTL_HEADS = env.text("DEPLOYCTL_HEADS").split()
# A folder with fonts for additional scripts in PDF evidence.
DEPLOYCTL_FONTS = env.text("DEPLOYCTL_FONTS")
# The URL of this installation, for links in e-mails, which are sent outside of requests.
DEPLOYCTL_URL = env.text("DEPLOYCTL_URL", next(iter(CSRF_TRUSTED_ORIGINS), "")).rstrip("/")

# --- Application ----------------------------------------------------------------------------------

INSTALLED_APPS = [
    "deployctl",
    "deployctl.web",
    "deployctl.audit",
    "deployctl.accounts",
    "deployctl.runs",
    "checklists",
    "signoff",
    "monitoring",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "csp",
    "django_htmx",
    "django_otp",
    "django_otp_webauthn",
    "heroicons",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "deployctl.web.middleware.ResourcePolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "deployctl.web.middleware.CompressionMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "deployctl.web.middleware.RejectNulMiddleware",
    "deployctl.web.middleware.MethodOverrideMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "deployctl.accounts.middleware.SessionLimitMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "deployctl.web.middleware.TimezoneMiddleware",
    "deployctl.web.middleware.ErrorMiddleware",
]

ROOT_URLCONF = "deployctl.urls"
ASGI_APPLICATION = "deployctl.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "deployctl.accounts.context_processors.navigation",
            ],
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "django.template.loaders.filesystem.Loader",
                        "django.template.loaders.app_directories.Loader",
                    ],
                )
            ],
        },
    }
]

# --- Database, cache, broker ----------------------------------------------------------------------

DATABASES: dict[str, dict[str, Any]] = {
    "default": env.database(env.secret("DATABASE_URL", "postgresql://deployctl@127.0.0.1:5432/deployctl"))
    | {"CONN_MAX_AGE": 0, "OPTIONS": {"connect_timeout": 5, "application_name": "deployctl", **KEEPALIVES}}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.secret("REDIS_URL", "redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 1.0, "socket_timeout": 2.0},
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.db"

CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT = "deployctl.celery_transport:Transport"
CELERY_TASK_IGNORE_RESULT = True
# The row in the database is authoritative; a message only triggers a look at it. Acknowledge late and fetch
# one message at a time, so that the message of a lost worker is redelivered; another worker ignores it if
# the row is already claimed.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # no limit; by default a worker gives up after some 50 minutes
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Longer than any run, because redelivery is harmless but unnecessary.
    "visibility_timeout": 24 * 3600,
    "socket_connect_timeout": 2,
    "socket_timeout": 10,
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = celery_schedule.BEAT
CELERY_TASK_DEFAULT_QUEUE = "runs"
CELERY_TASK_ROUTES = celery_schedule.ROUTES

# --- People ---------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("email", "name")},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "deployctl.accounts.passwords.InstallationWordsValidator"},
    {"NAME": "deployctl.accounts.passwords.GuessableValidator"},
    *([{"NAME": "deployctl.accounts.passwords.BreachedPasswordValidator"}] if BREACHED_PASSWORDS_URL else []),
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "checklists:home"
ACCOUNT_ADAPTER = "deployctl.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_FORMS = {"reset_password": "deployctl.accounts.forms.ResetPasswordForm"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_LOGOUT_ON_GET = False
OTP_TOTP_ISSUER = env.text("OTP_ISSUER", "deployctl")
# Passkeys are bound to this domain and its subdomains; changing it invalidates them.
OTP_WEBAUTHN_RP_ID = env.text("PASSKEY_DOMAIN") or env.first_domain(ALLOWED_HOSTS)
OTP_WEBAUTHN_RP_NAME = OTP_TOTP_ISSUER
OTP_WEBAUTHN_CREDENTIAL_MODEL = "accounts.Passkey"
OTP_WEBAUTHN_ALLOW_PASSWORDLESS_LOGIN = False
OTP_WEBAUTHN_TIMEOUT_SECONDS = 300
# Only for the library's own check of the settings; deployctl requires the origin of the request.
OTP_WEBAUTHN_ALLOWED_ORIGINS = [
    f"{'http' if OTP_WEBAUTHN_RP_ID == env.LOCALHOST else 'https'}://{OTP_WEBAUTHN_RP_ID}"
]

# Single sign-on at an OpenID Connect provider (docs/single-sign-on.md); off without an issuer.
OIDC_ISSUER = env.text("OIDC_ISSUER").rstrip("/")
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = env.secret("OIDC_CLIENT_SECRET")
OIDC_NAME = env.text("OIDC_NAME", "single sign-on")
# Users with a verified e-mail address in these domains are added as viewers; empty adds nobody.
OIDC_DOMAINS = [domain.lower() for domain in env.words("OIDC_DOMAINS")]
SOCIALACCOUNT_ADAPTER = "deployctl.accounts.single_sign_on.Adapter"

EMAIL_BACKEND = env.text("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend")
EMAIL_HOST = env.text("EMAIL_HOST", "localhost")
EMAIL_PORT = env.number("EMAIL_PORT", 25)
EMAIL_TIMEOUT = 10  # seconds; the sender waits
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "deployctl@localhost")

# --- Security -------------------------------------------------------------------------------------

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_SSL_REDIRECT = False
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "deployctl_session"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "deployctl_csrf"
# Pages contain the CSRF token (templates/base.html), so scripts don't read cookies.
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# Messages are in the session, because their own cookie would lack the `__Host-` prefix.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_IDLE_SECONDS = 30 * 60
SESSION_ABSOLUTE_SECONDS = 12 * 3600
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
# Above the limit for evidence files, which have their own error message.
LARGEST_REQUEST = 16 * 1024 * 1024
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "object-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        # Browsers also apply this to the redirect from a form to the provider.
        "form-action": [SELF, *([env.origin(OIDC_ISSUER)] if OIDC_ISSUER else [])],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "manifest-src": [SELF],
    }
}

# --- Files, time, formats -------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = DEPLOYCTL_DATA / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(DEPLOYCTL_DATA / "files")},
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
DATETIME_FORMAT = "j M Y H:i"
DATE_FORMAT = "j M Y"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "INFO")},
    # They would log request URLs, with credentials and parts of password hashes.
    "loggers": {name: {"level": "WARNING"} for name in ("httpx", "httpcore")},
}
