"""The audit chain that a pack carries: its own entries in full, those in between by their digests alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deployctl.audit.chain import content_digest, link

Note = Callable[[str, str], None]


def verify(chain: Any, deployment: int, note: Note) -> dict[int, Any]:
    """Recompute every hash from the entry before the first one to the signed head.

    Args:
        chain: `start`, `links` and `head` of a pack. An element of `links` is an entry of the deployment, or
            the content digest of an entry that is not.
        deployment: its number; an entry of another one has no place here.
        note: takes a place below the chain's own and a sentence.

    Returns:
        The deployment's entries by their numbers.

    Raises:
        KeyError, TypeError, ValueError: the chain is not in the form of one.
    """
    entries: dict[int, Any] = {}
    at, running = int(chain["start"]["sequence"]), str(chain["start"]["previous_hash"])
    last_entry = "/start"
    for number, one in enumerate(chain["links"]):
        place = f"/links/{number}"
        if isinstance(one, str):
            running = link(running, one)
        else:
            if one["previous_hash"] != running:
                note(
                    f"{place}/previous_hash",
                    f"Entry {at} does not follow what stands before it: something between {last_entry} and "
                    "here was changed, added or removed.",
                )
            if one["sequence"] != at:
                note(f"{place}/sequence", f"This should be entry {at} and says that it is {one['sequence']}.")
            running = link(one["previous_hash"], content_digest(one))
            if one["hash"] != running:
                note(place, f"Entry {at} was changed: its content does not give its hash.")
            if one["deployment"] != deployment:
                note(f"{place}/deployment", f"Entry {at} does not belong to deployment {deployment}.")
            entries[at] = one
            running, last_entry = str(one["hash"]), place
        at += 1
    head = chain["head"]
    if head["sequence"] != at - 1:
        note("/links", f"The head is entry {head['sequence']}, and the chain here ends at {at - 1}.")
    elif head["hash"] != running:
        note(
            "/head/hash",
            f"The chain does not lead to the signed head: something after {last_entry} was changed.",
        )
    return entries
