"""The audit chain of a deployment: its entries, the digests of all entries between, and a signed head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deployctl.audit import Action
from deployctl.audit.canonical import compute_hash, content, export_record
from deployctl.audit.chain import content_digest
from deployctl.audit.exports import in_order
from deployctl.audit.models import Entry, SignedHead
from deployctl.errors import Refusal
from signoff.verifier.pack_format import Streamed

# Exports and downloads are audited but left out of the evidence; otherwise each export would change the next.
EXCLUDED_ACTIONS = (Action.EVIDENCE_EXPORTED, Action.EVIDENCE_DOWNLOADED)


class ChainBroken(Refusal):
    """The audit chain has been altered, so evidence based on it cannot be exported."""


def last_entry_of(deployment_id: int) -> int:
    """Return the number of the newest entry in a deployment's evidence; 0 if there is none."""
    own = Entry.objects.of_deployment(deployment_id).exclude(action__in=EXCLUDED_ACTIONS)
    return own.order_by("-sequence").values_list("sequence", flat=True).first() or 0


def chain_of(deployment_id: int, last: int) -> tuple[dict[str, Any], SignedHead]:
    """Return the chain for a pack, and the signed head at its end.

    Args:
        last: the newest entry that the chain must contain; see `last_entry_of`.

    Raises:
        ChainBroken: the deployment has no audit entries.
        SigningKeyMissing: a new head must be signed, and no key is configured.
    """
    own = Entry.objects.of_deployment(deployment_id).exclude(action__in=EXCLUDED_ACTIONS)
    first = own.order_by("sequence").first()
    head = SignedHead.objects.covering(last)
    if first is None:
        raise ChainBroken(f"The audit log has no entry of deployment {deployment_id}. Nothing was exported.")
    return {
        "start": {"sequence": first.sequence, "previous_hash": first.previous_hash},
        "links": Streamed(_links(deployment_id, first, head)),
        "head": head.signed,
    }, head


def _links(deployment_id: int, first: Entry, head: SignedHead) -> Iterator[Any]:
    """Yield the links of the chain, and verify each entry on the way."""
    running = first.previous_hash
    expected = first.sequence
    for entry in in_order(Entry.objects.filter(sequence__gte=first.sequence, sequence__lte=head.sequence)):
        if entry.sequence != expected or entry.previous_hash != running or compute_hash(entry) != entry.hash:
            raise _broken(expected)
        is_own = entry.deployment_id == deployment_id and entry.action not in EXCLUDED_ACTIONS
        yield export_record(entry) if is_own else content_digest(content(entry))
        running, expected = entry.hash, expected + 1
    if running != head.hash:
        raise _broken(expected - 1)


def _broken(sequence: int) -> ChainBroken:
    return ChainBroken(
        f"The audit chain is broken at entry {sequence}, and nothing was exported. Verify the audit log and "
        "find out who altered it."
    )
