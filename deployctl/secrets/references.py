"""References to secrets, such as `env:DATABASE_URL`: what is stored instead of the value."""

from __future__ import annotations

from collections.abc import Mapping

from deployctl.plugins import Catalogue
from deployctl.secrets.base import Secret, SecretError, SecretSource

SOURCES: Catalogue[SecretSource] = Catalogue("deployctl.secrets.sources", SecretSource, "scheme")


def known_sources() -> Mapping[str, SecretSource]:
    """Return every source by its scheme."""
    return {scheme: source() for scheme, source in SOURCES.items()}


def resolve(reference: str) -> Secret:
    """Read the secret that a reference names.

    Raises:
        SecretError: the reference is malformed, or its source does not have the value.
    """
    source, rest = _split(reference)
    return Secret(source.read(rest))


def check_reference(reference: str) -> None:
    """Look at a reference's form without reading the secret.

    Raises:
        SecretError: with the form it should have.
    """
    _split(reference)


def _split(reference: str) -> tuple[SecretSource, str]:
    scheme, colon, rest = reference.partition(":")
    source = known_sources().get(scheme)
    if not colon or source is None or not rest:
        # A pasted connection URL would show its password, so the message does not repeat what was given.
        known = " or ".join(sorted(f"{name}:…" for name in known_sources()))
        raise SecretError(
            f"This is not a reference to a secret. Write where the secret is kept, as {known}, "
            "not the secret itself."
        )
    source.check(rest)
    return source, rest
