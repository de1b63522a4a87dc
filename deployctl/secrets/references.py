"""Validate and resolve references to secrets, such as `env:DATABASE_URL`."""

from __future__ import annotations

from collections.abc import Mapping

from deployctl.plugins import Catalogue
from deployctl.secrets.base import Secret, SecretError, SecretSource

SOURCES: Catalogue[SecretSource] = Catalogue("deployctl.secrets.sources", SecretSource, "scheme")


def known_sources() -> Mapping[str, SecretSource]:
    """Return an instance of every source, by scheme."""
    return {scheme: source() for scheme, source in SOURCES.items()}


def resolve(reference: str) -> Secret:
    """Return the secret that a reference names.

    Raises:
        SecretError: the reference is malformed, or its source does not have the value.
    """
    source, rest = _split(reference)
    return Secret(source.read(rest))


def check_reference(reference: str) -> None:
    """Validate the syntax of a reference without reading the secret.

    Raises:
        SecretError: the reference is malformed. The message shows the expected form.
    """
    _split(reference)


def _split(reference: str) -> tuple[SecretSource, str]:
    scheme, colon, rest = reference.partition(":")
    source = known_sources().get(scheme)
    if not colon or source is None or not rest:
        # The input is not repeated: it may be a pasted connection URL with a password.
        known = " or ".join(sorted(f"{name}:…" for name in known_sources()))
        raise SecretError(
            f"This is not a reference to a secret. Enter the location of the secret as {known}, "
            "not the secret itself."
        )
    source.check(rest)
    return source, rest
