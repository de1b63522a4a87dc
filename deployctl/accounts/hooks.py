"""The hooks of accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.hooks import Hook

if TYPE_CHECKING:
    from deployctl.accounts.models import User
    from deployctl.audit import Actor

person_renamed: Hook[[User, Actor, str], None] = Hook("person_renamed", on_error="raise")
"""A person's name changed: `(person, by, old_name)`. Sent before the audit entry is appended, because
handlers must lock their rows before the audit chain is locked."""
