"""The hook of secrets."""

from __future__ import annotations

from deployctl.hooks import Hook

stored_secret: Hook[[str], str] = Hook("stored_secret", on_error="raise")
"""Return the secret that is stored under a name. Raises `SecretError` if it cannot be read.

Only the package that stores secrets, `deployctl.runs`, connects a handler.
"""
