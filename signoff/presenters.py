"""Gates as the templates need them: plain data, with what the viewer may do decided here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from django.urls import reverse
from django.utils import timezone

from checklists.models import Deployment
from deployctl.accounts.models import User
from signoff import diff, permissions, prefetch, signer_availability
from signoff import record as records
from signoff.models import Delegation, Gate, Signature, Slot
from signoff.pending_signatures import sign_url


@dataclass(frozen=True)
class SlotLine:
    """One line to sign on: who signed, or who may. A slot that asks for two people has two of them."""

    role: str
    people_needed: int
    signature: Signature | None
    invalid: str  # “Withdrawn” or “No longer stands”, and why
    reason: str
    holders: str
    sign_url: str
    changes_url: str
    withdraw_url: str

    @property
    def is_valid(self) -> bool:
        """Whether it bears a signature that counts."""
        return self.signature is not None and not self.invalid


@dataclass(frozen=True)
class GateView:
    """A gate with its lines, and what is wrong with the people who should sign them."""

    gate: Gate
    lines: list[SlotLine]
    flags: list[signer_availability.Flag]

    @property
    def signed(self) -> int:
        """How many lines hold a standing signature."""
        return sum(1 for line in self.lines if line.is_valid)


def gates_of(deployment: Deployment, viewer: User) -> list[GateView]:
    """A deployment's gates in order, as this person sees them."""
    return [gate_view(gate, viewer) for gate in prefetch.gates_of(deployment)]


def gate_view(gate: Gate, viewer: User) -> GateView:
    """One gate, as this person sees it.

    Args:
        gate: one of `loading.gates_of`.
    """
    lines = [line for slot in gate.slots.all() for line in _lines(slot, viewer)]
    has_ended = gate.is_signed or gate.deployment.is_final
    return GateView(gate, lines, [] if has_ended else [flag for _, flag in signer_availability.flags([gate])])


def _lines(slot: Slot, viewer: User) -> Iterator[SlotLine]:
    standing = slot.valid_signatures()
    for signature in standing:
        yield _signed_line(slot, signature, viewer)
    signers = {signature.signer_id for signature in standing}
    invalid = [each for each in slot.signatures.all() if not each.is_valid and each.signer_id not in signers]
    newest = {signature.signer_id: signature for signature in invalid}
    waiting: list[Signature | None] = [*reversed(newest.values())]
    open_lines = max(slot.quorum - len(standing), 0)
    url = sign_url(slot) if open_lines and _may_sign(slot, viewer) else ""
    for number, lost in enumerate([*waiting, *[None] * open_lines][:open_lines]):
        yield _open_line(slot, lost, url if number == 0 else "")


def _signed_line(slot: Slot, signature: Signature, viewer: User) -> SlotLine:
    mine = signature.signer_id == viewer.pk and not slot.gate.deployment.is_final
    address = reverse("signoff:gate", args=[slot.gate.deployment_id, slot.gate.key])
    return SlotLine(
        role=slot.label,
        people_needed=slot.quorum,
        signature=signature,
        invalid="",
        reason="",
        holders="",
        sign_url="",
        changes_url="",
        withdraw_url=f"{address}#withdraw-{signature.pk}" if mine else "",
    )


def _open_line(slot: Slot, signature: Signature | None, url: str) -> SlotLine:
    invalid, reason, changes = "", "", ""
    if signature is not None and signature.is_withdrawn:
        invalid, reason = "Withdrawn", signature.withdrawal.reason
    elif signature is not None:
        invalid = "No longer stands"
        reason = f"{signature.staleness.change} ({signature.staleness.by_name})"
        changes = f"{reverse('signoff:records', args=[slot.gate.deployment_id])}?then={signature.pk}"
    return SlotLine(
        role=slot.label,
        people_needed=slot.quorum,
        signature=signature,
        invalid=invalid,
        reason=reason,
        holders=_holders(slot),
        sign_url=url,
        changes_url=changes,
        withdraw_url="",
    )


def _holders(slot: Slot) -> str:
    """Who may sign, in words."""
    names = [seat.user.name for seat in slot.gate.deployment.team.all() if seat.role == slot.role]
    for each in slot.delegations.all():
        if each.is_in_force and each.delegator_name in names:
            until = timezone.localtime(each.until)
            names.append(f"{each.delegate_name} for {each.delegator_name} until {until:%-d %b %H:%M}")
    return ", ".join(names) or "Nobody in the team has this role"


def _may_sign(slot: Slot, viewer: User) -> bool:
    # Who is meant decides cheaply for most viewers; only the rest needs all the rules.
    is_meant = permissions.has_role(slot, viewer) or permissions.delegation_of(slot, viewer) is not None
    return is_meant and not slot.sign_denied_reason(viewer)


def delegations_of(gate: Gate) -> list[Delegation]:
    """The delegations of a gate that count now, by slot."""
    return [each for slot in gate.slots.all() for each in slot.delegations.all() if each.is_in_force]


def withdrawable_signatures(gate: Gate, viewer: User) -> list[Signature]:
    """The standing signatures of a gate that this person may take back."""
    if gate.deployment.is_final:
        return []
    return [each for each in gate.valid_signatures() if each.signer_id == viewer.pk]


def shown_record(gate: Gate) -> records.Json:
    """What a page shows of a gate: what was signed, or what would be signed now."""
    if gate.is_signed:
        standing = Signature.objects.valid().filter(slot__gate=gate).order_by("-pk").first()
        if standing is not None:
            signed: records.Json = standing.record
            return signed
    return gate.record()


def changed_since_last_signature(gate: Gate, record: records.Json) -> list[diff.Difference]:
    """What changed between the last signature that went stale and a record; empty when none did."""
    last = Signature.objects.filter(slot__gate=gate).exclude(staleness=None).order_by("-pk").first()
    return diff.between(last.record, record) if last else []


def sections(record: records.Json) -> list[tuple[str, list[records.Json]]]:
    """The record's items by the headings they stand under, in order."""
    grouped = groupby(record["items"], key=lambda item: (item["phase"], item["section"]))
    return [(" · ".join(part for part in heading if part), list(items)) for heading, items in grouped]
