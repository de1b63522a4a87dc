"""Hooks that this package declares."""

from __future__ import annotations

from deployctl.hooks import Hook

stored_secret: Hook[[str], str] = Hook("stored_secret", on_error="raise")
"""Return the secret stored under a name. Raises `SecretError` if it cannot be read.

Only `deployctl.runs`, which stores secrets, connects a handler.
"""
