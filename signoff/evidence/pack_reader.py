"""Read a finished pack, for the PDF and the filled-in checklist."""

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
    """Return a time as text with its zone; a dash if it is empty.

    Args:
        text: an ISO 8601 time from a pack.
        zone: a name from the IANA database; an unknown one counts as UTC.
    """
    if not text:
        return NO_TIME
    try:
        zone_info = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        zone_info, zone = ZoneInfo("UTC"), "UTC"
    at = datetime.fromisoformat(text).astimezone(zone_info)
    offset = "" if zone == "UTC" else f" ({at:%z})"
    return f"{at:%Y-%m-%d %H:%M:%S} {zone}{offset}"


def _active(rows: Iterable[Json], ended_at: str) -> Json | None:
    """Return the row that has not ended.

    Args:
        ended_at: the key of the time at which a row ended.
    """
    return next((row for row in rows if not row[ended_at]), None)


def proof_line(proof: Json, runs: dict[int, Json]) -> str:
    """Return a proof as a line: kind, outcome, text, author and time."""
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
    """Return the completion, waiver and proofs of an item, one line each."""
    lines = []
    completion = _active(item["completions"], "undone_at")
    if completion:
        note = f": {completion['note']}" if completion["note"] else ""
        lines.append(f"Done by {completion['by']}, {format_time(completion['at'])}{note}")
    waiver = _active(item["waivers"], "revoked_at")
    if waiver:
        lines.append(f"Waived by {waiver['by']}, {format_time(waiver['at'])}: {waiver['reason']}")
    if item["state"] == "failed":
        lines.append("Failed.")
    return lines + [f"Proof: {proof_line(proof, runs)}" for proof in item["proofs"]]


def runs_by_number(contents: Json) -> dict[int, Json]:
    """Return the runs of a pack by their numbers."""
    return {run["number"]: run for run in contents["runs"]}


def signer(signature: Json) -> str:
    """Return the printed name, and the delegator's if there is one."""
    return (
        f"{signature['printed_name']}, for {signature['on_behalf_of']}"
        if signature["on_behalf_of"]
        else signature["printed_name"]
    )


def valid_signatures(contents: Json) -> list[Json]:
    """Return the signatures that are neither stale nor revoked."""
    return [one for one in contents["signatures"] if not one["stale"] and not one["revoked"]]


def entries(contents: Json) -> Iterator[Json]:
    """Yield the deployment's audit entries."""
    return (one for one in contents["chain"]["links"] if isinstance(one, dict))


def by_heading(items: Iterable[Json]) -> Iterator[tuple[str, str, list[Json]]]:
    """Yield each section with its phase, its title and its items, in order."""
    for (phase, section), group in groupby(items, key=lambda item: (item["phase"], item["section"])):
        yield phase, section, list(group)
