"""The audit chain of a deployment: its own entries, the digests of those in between, and a signed head."""

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

# Taking evidence out is recorded, and is no part of what happened: else no two packs of a deployment that has
# ended would say the same.
NOT_PART = (Action.EVIDENCE_EXPORTED, Action.EVIDENCE_DOWNLOADED)


class ChainBroken(Refusal):
    """The audit chain is not what it was, so nothing that rests on it is exported."""


def last_entry_of(deployment_id: int) -> int:
    """The number of a deployment's newest entry that belongs into its evidence."""
    own = Entry.objects.of_deployment(deployment_id).exclude(action__in=NOT_PART)
    return own.order_by("-sequence").values_list("sequence", flat=True).first() or 0


def chain_of(deployment_id: int, last: int) -> tuple[dict[str, Any], SignedHead]:
    """The chain as a pack carries it, and the head that it leads to.

    Args:
        last: the newest entry that has to be covered; see `last_entry_of`.

    Raises:
        SigningKeyMissing: no head covers it yet, and there is no key to sign one.
    """
    own = Entry.objects.of_deployment(deployment_id).exclude(action__in=NOT_PART)
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
    """The elements, each entry checked on the way: a pack never carries a chain that does not hold."""
    running = first.previous_hash
    expected = first.sequence
    for entry in in_order(Entry.objects.filter(sequence__gte=first.sequence, sequence__lte=head.sequence)):
        if entry.sequence != expected or entry.previous_hash != running or compute_hash(entry) != entry.hash:
            raise _broken(expected)
        is_own = entry.deployment_id == deployment_id and entry.action not in NOT_PART
        yield export_record(entry) if is_own else content_digest(content(entry))
        running, expected = entry.hash, expected + 1
    if running != head.hash:
        raise _broken(expected - 1)


def _broken(sequence: int) -> ChainBroken:
    return ChainBroken(
        f"The audit chain is broken at entry {sequence}. Nothing was exported; verify the audit log, and "
        "find out who altered it."
    )
