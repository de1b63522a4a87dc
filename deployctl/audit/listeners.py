"""What higher floors are told about the audit chain, inside the transaction that records it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.occasions import Occasion

if TYPE_CHECKING:
    from deployctl.audit.models import Entry

on_broken: Occasion[[Entry]] = Occasion()
"""A verification found the chain broken: `(entry of the verification)`."""
