"""Gates as the templates need them: plain data, with what the viewer may do decided here."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from checklists.models import Deployment
from deployctl.accounts.models import User
from signoff import differences, loading
from signoff import record as records
from signoff.models import Gate, Signature, Slot
from signoff.waiting import sign_url


@dataclass(frozen=True)
class SlotLine:
    """One place for a signature: who signed, or who may."""

    role: str
    signature: Signature | None
    stale_reason: str
    holders: str
    sign_url: str


@dataclass(frozen=True)
class GateView:
    """A gate with its places."""

    gate: Gate
    lines: list[SlotLine]

    @property
    def signed(self) -> int:
        """How many places hold a standing signature."""
        return sum(1 for line in self.lines if line.signature and not line.stale_reason)


def gates_of(deployment: Deployment, viewer: User) -> list[GateView]:
    """A deployment's gates in order, as this person sees them."""
    return [gate_view(gate, viewer) for gate in loading.gates_of(deployment)]


def gate_view(gate: Gate, viewer: User) -> GateView:
    """One gate, as this person sees it.

    Args:
        gate: one of `loading.gates_of`.
    """
    holders: dict[str, list[str]] = {}
    for member in gate.deployment.team.all():
        holders.setdefault(member.role, []).append(member.user.name)
    lines = []
    for slot in gate.slots.all():
        signatures = list(slot.signatures.all())
        standing = next((each for each in signatures if not each.is_stale), None)
        latest = standing or (signatures[-1] if signatures else None)
        lines.append(
            SlotLine(
                role=slot.label,
                signature=latest,
                stale_reason=_stale_reason(latest),
                holders=", ".join(holders.get(slot.role, [])) or "Nobody in the team has this role",
                sign_url="" if standing or not _may_sign(slot, viewer, holders) else sign_url(slot),
            )
        )
    return GateView(gate, lines)


def _may_sign(slot: Slot, viewer: User, holders: dict[str, list[str]]) -> bool:
    # The names decide cheaply for most viewers; only the rest asks the database.
    return viewer.name in holders.get(slot.role, []) and not slot.refusal(viewer)


def _stale_reason(signature: Signature | None) -> str:
    if signature is None or not signature.is_stale:
        return ""
    return f"{signature.staleness.change} ({signature.staleness.by_name})"


def shown_record(gate: Gate) -> records.Json:
    """What a page shows of a gate: what was signed, or what would be signed now."""
    if gate.is_signed:
        standing = Signature.objects.standing().filter(slot__gate=gate).order_by("-pk").first()
        if standing is not None:
            signed: records.Json = standing.record
            return signed
    return gate.record()


def changed_since_last_signature(gate: Gate, record: records.Json) -> list[differences.Difference]:
    """What changed between the last signature that went stale and a record; empty when none did."""
    last = Signature.objects.filter(slot__gate=gate).exclude(staleness=None).order_by("-pk").first()
    return differences.between(last.record, record) if last else []


def sections(record: records.Json) -> list[tuple[str, list[records.Json]]]:
    """The record's items by the headings they stand under, in order."""
    grouped = groupby(record["items"], key=lambda item: (item["phase"], item["section"]))
    return [(" · ".join(part for part in heading if part), list(items)) for heading, items in grouped]
