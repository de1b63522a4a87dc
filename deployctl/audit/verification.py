"""Reading the chain back: is every entry still what was written, in its place?"""

from __future__ import annotations

from dataclasses import dataclass

from deployctl.audit.canonical import GENESIS, seal
from deployctl.audit.models.entry import Entry

CHUNK = 2000


@dataclass(frozen=True)
class Head:
    """The end of the chain at some moment, kept elsewhere.

    Attributes:
        sequence: the last entry's number; 0 for an empty chain.
        hash: its hash in hexadecimal.
    """

    sequence: int
    hash: str


@dataclass(frozen=True)
class VerificationResult:
    """What reading the chain found.

    Attributes:
        ok: nothing is broken.
        checked: how many entries were found good, from the first on.
        first_broken_sequence: the number of the first entry that is changed, missing or out of place.
        reason: a sentence about it, or "".
        head: the last good entry.
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
    """Recompute every hash, first to last, with memory for some thousand entries at a time.

    Whoever may write to the database as its owner can rewrite a chain as a whole, or cut its end; only heads
    that were kept elsewhere show that.

    Args:
        expected: heads noted earlier, which the chain must still contain.
    """
    head = Head(0, GENESIS)
    hashes: dict[int, set[str]] = {}
    for one in expected:
        hashes.setdefault(one.sequence, set()).add(one.hash)
    last_expected = max(hashes, default=0)
    try:
        # One statement, so one snapshot: entries that come meanwhile do not disturb.
        for entry in Entry.objects.order_by("sequence").iterator(chunk_size=CHUNK):
            _check(entry, follows=head)
            head = Head(entry.sequence, entry.hash)
            if hashes.get(head.sequence, {head.hash}) != {head.hash}:
                raise _Broken(
                    head.sequence,
                    f"Entry {head.sequence} is not the one that was noted as the head: the chain was"
                    " rewritten up to there.",
                )
        if last_expected > head.sequence:
            raise _Broken(
                head.sequence + 1,
                f"The end is missing: entry {last_expected} was noted as the head,"
                f" and the chain now ends at {head.sequence}.",
            )
    except _Broken as broken:
        return VerificationResult(False, head.sequence, broken.sequence, str(broken), head)
    return VerificationResult(True, head.sequence, None, "", head)


def _check(entry: Entry, *, follows: Head) -> None:
    expected = follows.sequence + 1
    if entry.sequence != expected:
        raise _Broken(
            expected, f"Entry {expected} is missing: after {follows.sequence} comes {entry.sequence}."
        )
    if seal(entry) != entry.hash:
        raise _Broken(expected, f"Entry {expected} was changed: its content does not give its hash.")
    if entry.previous_hash != follows.hash:
        raise _Broken(
            expected, f"Entry {expected} does not follow entry {follows.sequence}: one of them was replaced."
        )
