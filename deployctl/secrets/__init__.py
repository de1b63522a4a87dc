"""Read secrets by reference, such as `env:NAME` or `file:/path`, instead of storing their values."""

from deployctl.secrets.base import Secret, SecretError, SecretSource
from deployctl.secrets.references import check_reference, known_sources, resolve

__all__ = ["Secret", "SecretError", "SecretSource", "check_reference", "known_sources", "resolve"]
