"""The hooks of people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.hooks import Hook

if TYPE_CHECKING:
    from deployctl.accounts.models import User
    from deployctl.audit import Actor

person_renamed: Hook[[User, Actor, str], None] = Hook("person_renamed", on_error="raise")
"""A person's name changed: `(person, by, name before)`. Sent before the audit entry of the change, so that
handlers lock their rows before the audit chain is locked."""
