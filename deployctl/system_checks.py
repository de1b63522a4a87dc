"""Misconfiguration, found at the start and said in a sentence with a way out."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register

from deployctl.audit import signing_keys

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@register(Tags.security)
def field_key_is_usable(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Second factors are encrypted with a key that must exist and be kept."""
    keys = [key.strip() for key in settings.DEPLOYCTL_FIELD_KEY.split(",") if key.strip()]
    if not keys:
        return [
            Error(
                "DEPLOYCTL_FIELD_KEY is not set, so second factors cannot be kept.",
                hint="Make one with `python -c 'from cryptography.fernet import Fernet; "
                "print(Fernet.generate_key().decode())'` and keep it outside the database.",
                id="deployctl.E001",
            )
        ]
    for key in keys:
        try:
            Fernet(key)
        except ValueError:
            return [
                Error(
                    "DEPLOYCTL_FIELD_KEY is not a Fernet key (32 bytes in URL-safe base64).",
                    hint="Several keys, newest first, are separated by commas.",
                    id="deployctl.E002",
                )
            ]
    return []


@register(Tags.security, deploy=True)
def served_over_https(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Passwords and codes must not travel in the clear."""
    if settings.HTTPS:
        return []
    return [
        checks.Warning(
            "HTTPS is off: cookies are not restricted to encrypted connections.",
            hint="Set HTTPS=1 once a proxy in front speaks TLS.",
            id="deployctl.W001",
        )
    ]


@register(Tags.security)
def single_sign_on_is_usable(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Whoever answers at the issuer's address says who is who."""
    if not settings.OIDC_ISSUER:
        return []
    if not _is_safe_url(settings.OIDC_ISSUER):
        return [Error("OIDC_ISSUER does not begin with https://.", id="deployctl.E003")]
    if not settings.OIDC_CLIENT_ID or not settings.OIDC_CLIENT_SECRET:
        return [
            Error(
                "OIDC_ISSUER is set, but OIDC_CLIENT_ID or OIDC_CLIENT_SECRET is not.",
                hint="Register deployctl at the provider, which gives you both (docs/single-sign-on.md).",
                id="deployctl.E004",
            )
        ]
    return []


@register(Tags.security)
def breached_passwords_url_is_usable(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """An address that cannot be asked would let every password pass; HTTP would show what is asked."""
    if not settings.BREACHED_PASSWORDS_URL or _is_safe_url(settings.BREACHED_PASSWORDS_URL):
        return []
    return [
        Error(
            "BREACHED_PASSWORDS_URL does not begin with https:// and a host.",
            hint="Such as https://api.pwnedpasswords.com/range/; http:// is taken on this machine only.",
            id="deployctl.E005",
        )
    ]


@register()
def project_roots_exist(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Commands run in project folders, so an administrator says where those may be."""
    missing = [root for root in settings.DEPLOYCTL_PROJECT_ROOTS if not root.is_dir()]
    return [
        checks.Warning(
            f"DEPLOYCTL_PROJECT_ROOTS names {root}, which is not a folder.",
            hint="Create it, or take it out of the list.",
            id="deployctl.W002",
        )
        for root in missing
    ]


@register(Tags.security)
def signing_key_is_usable(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Heads of the audit chain and evidence packs are signed with a key outside the database."""
    try:
        signing_keys.signing_key()
    except signing_keys.SigningKeyMissing as error:
        return [checks.Warning(error.message, id="deployctl.W003")]
    return []


@register(Tags.security, deploy=True)
def audit_heads_are_anchored(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """A chain without an anchor outside can be rewritten as a whole."""
    if settings.DEPLOYCTL_HEADS:
        return []
    return [
        checks.Warning(
            "Signed heads of the audit chain are kept in the database only.",
            hint="Name a folder or a bucket in DEPLOYCTL_HEADS, such as file:///mnt/heads.",
            id="deployctl.W004",
        )
    ]


@register(Tags.database, Tags.security, deploy=True)
def audit_log_is_write_protected(databases: Any = None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Where the application owns the table, triggers are all that keeps it from altering entries."""
    if not databases or "default" not in databases:
        return []
    from deployctl.audit import privileges  # has models, which are not loaded when this module is

    return [
        checks.Warning(
            reason,
            hint="docs/audit.md shows how to give the table an owner of its own.",
            id="deployctl.W005",
        )
        for reason in privileges.audit_log_privileges().reasons
    ]


def _is_safe_url(url: str) -> bool:
    try:
        address = urlsplit(url)
        host, _ = address.hostname, address.port  # a port that is no number is an error only when read
    except ValueError:
        return False
    return (address.scheme == "https" and bool(host)) or (address.scheme == "http" and host in LOOPBACK)
