"""What checklist and document read out of a finished pack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Json = dict[str, Any]

OUTCOMES = {"pass": "passed", "fail": "failed", "not_measurable": "not measurable"}
NO_TIME = "—"


def format_time(text: str | None, zone: str = "UTC") -> str:
    """A moment for people, always with its zone.

    Args:
        text: ISO 8601, as packs have it.
        zone: of the IANA database; one that nobody knows is read as UTC.
    """
    if not text:
        return NO_TIME
    try:
        known = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        known, zone = ZoneInfo("UTC"), "UTC"
    moment = datetime.fromisoformat(text).astimezone(known)
    offset = "" if zone == "UTC" else f" ({moment:%z})"
    return f"{moment:%Y-%m-%d %H:%M:%S} {zone}{offset}"


def standing(rows: Iterable[Json], ended: str) -> Json | None:
    """The one row that was not undone or withdrawn.

    Args:
        ended: the member that says when it was.
    """
    return next((row for row in rows if not row[ended]), None)


def proof_line(proof: Json, runs: dict[int, Json]) -> str:
    """One proof as a phrase: what it is, what it says, who put it there and when."""
    parts = [proof["kind"].capitalize()]
    if proof["run"]:
        run = runs.get(proof["run"])
        parts = [f"Run {proof['run']}" + (f" ({run['title']}): {run['summary']}" if run else "")]
    elif proof["file"]:
        file = proof["file"]
        parts = [f"File “{file['name']}”, {file['size']} bytes, SHA-256 {file['sha256']}"]
    elif proof["url"]:
        parts = [f"Link {proof['url']}"]
    if proof["outcome"]:
        parts.append(OUTCOMES.get(proof["outcome"], proof["outcome"]))
    if proof["text"] and not proof["run"]:
        parts.append(proof["text"])
    until = f", valid until {format_time(proof['valid_until'])}" if proof["valid_until"] else ""
    return " · ".join(parts) + f" ({proof['by']}, {format_time(proof['at'])}{until})"


def item_lines(item: Json, runs: dict[int, Json]) -> list[str]:
    """What is known of an item, a sentence each: who kept or waived it, and what proves it."""
    said = []
    completion = standing(item["completions"], "undone_at")
    if completion:
        note = f": {completion['note']}" if completion["note"] else ""
        said.append(f"Done by {completion['by']}, {format_time(completion['at'])}{note}")
    waiver = standing(item["waivers"], "withdrawn_at")
    if waiver:
        said.append(f"Waived by {waiver['by']}, {format_time(waiver['at'])}: {waiver['reason']}")
    if item["state"] == "failed":
        said.append("Failed.")
    return said + [f"Proof: {proof_line(proof, runs)}" for proof in item["proofs"]]


def runs_by_number(contents: Json) -> dict[int, Json]:
    """The runs of a pack."""
    return {run["number"]: run for run in contents["runs"]}


def signer(signature: Json) -> str:
    """The printed name, and whom the signer stood in for."""
    return (
        f"{signature['printed_name']}, for {signature['for']}"
        if signature["for"]
        else signature["printed_name"]
    )


def in_force(contents: Json) -> list[Json]:
    """The signatures that stand."""
    return [one for one in contents["signatures"] if not one["stale"] and not one["withdrawn"]]


def entries(contents: Json) -> Iterator[Json]:
    """The deployment's audit entries."""
    return (one for one in contents["chain"]["links"] if isinstance(one, dict))


def by_heading(items: Iterable[Json]) -> Iterator[tuple[str, str, list[Json]]]:
    """Items with the phase and the section that they stand under, in order."""
    for (phase, section), group in groupby(items, key=lambda item: (item["phase"], item["section"])):
        yield phase, section, list(group)
