"""Verify the audit chain: every entry is unchanged and in its position."""

from __future__ import annotations

from dataclasses import dataclass

from deployctl.audit.canonical import GENESIS, compute_hash
from deployctl.audit.models.entry import Entry

CHUNK_SIZE = 2000


@dataclass(frozen=True)
class Head:
    """The last entry of the chain at some time.

    Attributes:
        sequence: the number of the entry; 0 for an empty chain.
        hash: its hash in hexadecimal.
    """

    sequence: int
    hash: str


@dataclass(frozen=True)
class VerificationResult:
    """The result of a verification.

    Attributes:
        ok: the chain is intact.
        checked: number of intact entries, counted from the first.
        first_broken_sequence: the number of the first entry that is changed, missing or out of order.
        reason: what is wrong with that entry, or "".
        head: the last intact entry.
    """

    ok: bool
    checked: int
    first_broken_sequence: int | None
    reason: str
    head: Head


class _Broken(Exception):
    def __init__(self, sequence: int, reason: str) -> None:
        super().__init__(reason)
        self.sequence = sequence


def verify(*expected: Head) -> VerificationResult:
    """Recompute every hash, from the first entry to the last, with a few thousand entries in memory.

    The owner of the database can rewrite the whole chain or cut off its end. Only a comparison with heads
    that are stored elsewhere detects that.

    Args:
        expected: earlier heads, which the chain must still contain.
    """
    head = Head(0, GENESIS)
    hashes: dict[int, set[str]] = {}
    for earlier in expected:
        hashes.setdefault(earlier.sequence, set()).add(earlier.hash)
    last_expected = max(hashes, default=0)
    try:
        # One statement sees one snapshot: entries appended in the meantime don't interfere.
        for entry in Entry.objects.order_by("sequence").iterator(chunk_size=CHUNK_SIZE):
            _check(entry, previous=head)
            head = Head(entry.sequence, entry.hash)
            if hashes.get(head.sequence, {head.hash}) != {head.hash}:
                raise _Broken(
                    head.sequence,
                    f"Entry {head.sequence} differs from the signed or given head: the chain was rewritten"
                    " up to this entry.",
                )
        if last_expected > head.sequence:
            raise _Broken(
                head.sequence + 1,
                f"The end of the chain is missing: entry {last_expected} was the head earlier, but the chain"
                f" now ends at entry {head.sequence}.",
            )
    except _Broken as broken:
        return VerificationResult(False, head.sequence, broken.sequence, str(broken), head)
    return VerificationResult(True, head.sequence, None, "", head)


def _check(entry: Entry, *, previous: Head) -> None:
    expected = previous.sequence + 1
    if entry.sequence != expected:
        raise _Broken(
            expected,
            f"Entry {expected} is missing: entry {previous.sequence} is followed by {entry.sequence}.",
        )
    if compute_hash(entry) != entry.hash:
        raise _Broken(expected, f"Entry {expected} was changed: its hash doesn't match its content.")
    if entry.previous_hash != previous.hash:
        raise _Broken(
            expected,
            f"Entry {expected} doesn't follow entry {previous.sequence}: one of the two was replaced.",
        )
