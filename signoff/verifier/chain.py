"""Verify the audit chain in a pack: the deployment's entries, and the digests of the entries between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deployctl.audit.chain import content_digest, link

Note = Callable[[str, str], None]


def verify(chain: Any, deployment: int, note: Note) -> dict[int, Any]:
    """Recompute every hash from the entry before the first one to the signed head.

    Args:
        chain: an object with `start`, `links` and `head`. Each element of `links` is an entry of the
            deployment, or the content digest of another entry.
        deployment: the number of the deployment.
        note: adds a problem; takes a location relative to the chain, and a sentence.

    Returns:
        The deployment's entries by their numbers.

    Raises:
        KeyError, TypeError, ValueError: the chain does not have this structure.
    """
    entries: dict[int, Any] = {}
    at, running = int(chain["start"]["sequence"]), str(chain["start"]["previous_hash"])
    last_entry = "/start"
    for number, element in enumerate(chain["links"]):
        location = f"/links/{number}"
        if isinstance(element, str):
            running = link(running, element)
        else:
            if element["previous_hash"] != running:
                note(
                    f"{location}/previous_hash",
                    f"Entry {at} does not link to the one before it: something between {last_entry} and "
                    "this entry was changed, added or removed.",
                )
            if element["sequence"] != at:
                note(
                    f"{location}/sequence",
                    f"This should be entry {at}, but its number is {element['sequence']}.",
                )
            running = link(element["previous_hash"], content_digest(element))
            if element["hash"] != running:
                note(location, f"Entry {at} was changed: its content does not match its hash.")
            if element["deployment"] != deployment:
                note(f"{location}/deployment", f"Entry {at} does not belong to deployment {deployment}.")
            entries[at] = element
            running, last_entry = str(element["hash"]), location
        at += 1
    head = chain["head"]
    if head["sequence"] != at - 1:
        note("/links", f"The head is entry {head['sequence']}, but the chain ends at entry {at - 1}.")
    elif head["hash"] != running:
        note(
            "/head/hash",
            f"The chain does not end in the signed head: a link after {last_entry} was changed.",
        )
    return entries
