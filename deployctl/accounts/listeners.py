"""What higher floors are told about people, inside the transaction that changes them.

A listener takes its locks before the audit entry of the change is appended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.occasions import Occasion

if TYPE_CHECKING:
    from deployctl.accounts.models import User
    from deployctl.audit import Actor

on_rename: Occasion[[User, Actor, str]] = Occasion()
"""Somebody is called otherwise: `(person, by, name before)`."""
