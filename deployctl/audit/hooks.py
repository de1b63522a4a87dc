"""The hooks of the audit chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deployctl.hooks import Hook

if TYPE_CHECKING:
    from deployctl.audit.anchor_stores import AnchorStore
    from deployctl.audit.models import Entry

chain_broken: Hook[[Entry], None] = Hook("chain_broken", on_error="raise")
"""A verification found that the chain is broken: `(audit entry of the verification)`."""

anchor_stores: Hook[[], Sequence[AnchorStore]] = Hook("anchor_stores", on_error="raise")
"""Return the configured stores of signed heads. Raises `DeployctlError` if the configuration is unusable."""
