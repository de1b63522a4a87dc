"""System checks of the configuration."""

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
    """Check that the key that encrypts second factors is set and valid."""
    keys = [key.strip() for key in settings.DEPLOYCTL_FIELD_KEY.split(",") if key.strip()]
    if not keys:
        return [
            Error(
                "DEPLOYCTL_FIELD_KEY isn't set, so second factors can't be stored.",
                hint="Generate a key with `python -c 'from cryptography.fernet import Fernet; "
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
                    "DEPLOYCTL_FIELD_KEY isn't a Fernet key (32 bytes in URL-safe base64).",
                    hint="Separate several keys by commas, newest first.",
                    id="deployctl.E002",
                )
            ]
    return []


@register(Tags.security, deploy=True)
def served_over_https(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Warn if passwords and codes are sent unencrypted."""
    if settings.HTTPS:
        return []
    return [
        checks.Warning(
            "HTTPS is off, so cookies aren't restricted to encrypted connections.",
            hint="Set HTTPS=1 if a proxy in front of deployctl terminates TLS.",
            id="deployctl.W001",
        )
    ]


@register(Tags.security)
def single_sign_on_is_usable(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Check the settings of single sign-on."""
    if not settings.OIDC_ISSUER:
        return []
    if not _is_safe_url(settings.OIDC_ISSUER):
        return [Error("OIDC_ISSUER isn't an https:// URL.", id="deployctl.E003")]
    if not settings.OIDC_CLIENT_ID or not settings.OIDC_CLIENT_SECRET:
        return [
            Error(
                "OIDC_ISSUER is set, but OIDC_CLIENT_ID or OIDC_CLIENT_SECRET is not.",
                hint="Register deployctl at the provider to get both (docs/single-sign-on.md).",
                id="deployctl.E004",
            )
        ]
    return []


@register(Tags.security)
def breached_passwords_url_is_usable(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Check the URL of the breached passwords service.

    A wrong URL would accept every password, and HTTP would reveal the queries.
    """
    if not settings.BREACHED_PASSWORDS_URL or _is_safe_url(settings.BREACHED_PASSWORDS_URL):
        return []
    return [
        Error(
            "BREACHED_PASSWORDS_URL isn't an https:// URL.",
            hint="Use a URL such as https://api.pwnedpasswords.com/range/. http:// works only on loopback.",
            id="deployctl.E005",
        )
    ]


@register()
def project_roots_exist(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Check that the allowed locations of project folders exist."""
    missing = [root for root in settings.DEPLOYCTL_PROJECT_ROOTS if not root.is_dir()]
    return [
        checks.Warning(
            f"DEPLOYCTL_PROJECT_ROOTS contains {root}, which isn't a folder.",
            hint="Create it or remove it from the list.",
            id="deployctl.W002",
        )
        for root in missing
    ]


@register(Tags.security)
def signing_key_is_usable(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Check the key that signs heads and evidence packs."""
    try:
        signing_keys.signing_key()
    except signing_keys.SigningKeyMissing as error:
        return [checks.Warning(error.message, id="deployctl.W003")]
    return []


@register(Tags.security, deploy=True)
def audit_heads_are_anchored(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Warn if signed heads aren't stored outside the database, whose owner could rewrite the whole chain."""
    if settings.DEPLOYCTL_HEADS:
        return []
    return [
        checks.Warning(
            "Signed heads of the audit chain are stored in the database only.",
            hint="Set DEPLOYCTL_HEADS to an anchor store, such as file:///mnt/heads.",
            id="deployctl.W004",
        )
    ]


@register(Tags.database, Tags.security, deploy=True)
def audit_log_is_write_protected(databases: Any = None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Warn if deployctl's own database role could alter audit entries."""
    if not databases or "default" not in databases:
        return []
    from deployctl.audit import privileges  # imports models, which aren't loaded yet with this module

    return [
        checks.Warning(
            reason,
            hint="docs/audit.md explains how to give the table another owner.",
            id="deployctl.W005",
        )
        for reason in privileges.audit_log_privileges().reasons
    ]


def _is_safe_url(url: str) -> bool:
    try:
        address = urlsplit(url)
        host, _ = address.hostname, address.port  # reading the port raises ValueError if it isn't a number
    except ValueError:
        return False
    return (address.scheme == "https" and bool(host)) or (address.scheme == "http" and host in LOOPBACK)
