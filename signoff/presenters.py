"""Prepare gates and records for templates, with the actions that the viewer may perform."""

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
    """A line of a slot with its signature or possible signers. A slot with a quorum of two has two lines."""

    role: str
    people_needed: int
    signature: Signature | None
    invalid: str  # “Revoked” or “Stale”; empty if there is no signature or a valid one
    reason: str  # why the signature is invalid
    signers: str  # who may sign
    sign_url: str
    changes_url: str
    revoke_url: str

    @property
    def is_valid(self) -> bool:
        """Return True if it has a valid signature."""
        return self.signature is not None and not self.invalid


@dataclass(frozen=True)
class GateView:
    """A gate with its lines and the problems with its signers."""

    gate: Gate
    lines: list[SlotLine]
    flags: list[signer_availability.Flag]

    @property
    def signed(self) -> int:
        """The number of lines with a valid signature."""
        return sum(1 for line in self.lines if line.is_valid)


def gates_of(deployment: Deployment, viewer: User) -> list[GateView]:
    """Return a deployment's gates in order, prepared for this person."""
    return [gate_view(gate, viewer) for gate in prefetch.gates_of(deployment)]


def gate_view(gate: Gate, viewer: User) -> GateView:
    """Return a gate prepared for this person.

    Args:
        gate: from `prefetch.gates_of`.
    """
    lines = [line for slot in gate.slots.all() for line in _lines(slot, viewer)]
    has_ended = gate.is_signed or gate.deployment.is_final
    return GateView(gate, lines, [] if has_ended else [flag for _, flag in signer_availability.flags([gate])])


def _lines(slot: Slot, viewer: User) -> Iterator[SlotLine]:
    valid = slot.valid_signatures()
    for signature in valid:
        yield _signed_line(slot, signature, viewer)
    signers = {signature.signer_id for signature in valid}
    invalid = [each for each in slot.signatures.all() if not each.is_valid and each.signer_id not in signers]
    newest = {signature.signer_id: signature for signature in invalid}
    shown: list[Signature | None] = [*reversed(newest.values())]
    open_lines = max(slot.quorum - len(valid), 0)
    url = sign_url(slot) if open_lines and _may_sign(slot, viewer) else ""
    for number, ended in enumerate([*shown, *[None] * open_lines][:open_lines]):
        yield _open_line(slot, ended, url if number == 0 else "")


def _signed_line(slot: Slot, signature: Signature, viewer: User) -> SlotLine:
    is_own = signature.signer_id == viewer.pk and not slot.gate.deployment.is_final
    page = reverse("signoff:gate", args=[slot.gate.deployment_id, slot.gate.key])
    return SlotLine(
        role=slot.label,
        people_needed=slot.quorum,
        signature=signature,
        invalid="",
        reason="",
        signers="",
        sign_url="",
        changes_url="",
        revoke_url=f"{page}#revoke-{signature.pk}" if is_own else "",
    )


def _open_line(slot: Slot, signature: Signature | None, url: str) -> SlotLine:
    invalid, reason, changes = "", "", ""
    if signature is not None and signature.is_revoked:
        invalid, reason = "Revoked", signature.revocation.reason
    elif signature is not None:
        invalid = "Stale"
        reason = f"{signature.staleness.change} ({signature.staleness.by_name})"
        changes = f"{reverse('signoff:records', args=[slot.gate.deployment_id])}?before={signature.pk}"
    return SlotLine(
        role=slot.label,
        people_needed=slot.quorum,
        signature=signature,
        invalid=invalid,
        reason=reason,
        signers=_signers(slot),
        sign_url=url,
        changes_url=changes,
        revoke_url="",
    )


def _signers(slot: Slot) -> str:
    """Return the people who may sign, as text."""
    names = [member.user.name for member in slot.gate.deployment.team.all() if member.role == slot.role]
    for each in slot.delegations.all():
        if each.is_in_force and each.delegator_name in names:
            until = timezone.localtime(each.until)
            names.append(f"{each.delegate_name} for {each.delegator_name} until {until:%-d %b %H:%M}")
    return ", ".join(names) or "Nobody in the team has this role"


def _may_sign(slot: Slot, viewer: User) -> bool:
    # This cheap check is enough for most viewers; only the others need all rules.
    is_signer = permissions.has_role(slot, viewer) or permissions.delegation_of(slot, viewer) is not None
    return is_signer and not slot.sign_denied_reason(viewer)


def delegations_of(gate: Gate) -> list[Delegation]:
    """Return the delegations in force of a gate, in the order of its slots."""
    return [each for slot in gate.slots.all() for each in slot.delegations.all() if each.is_in_force]


def revocable_signatures(gate: Gate, viewer: User) -> list[Signature]:
    """Return the valid signatures of a gate that this person may revoke."""
    if gate.deployment.is_final:
        return []
    return [each for each in gate.valid_signatures() if each.signer_id == viewer.pk]


def shown_record(gate: Gate) -> records.Json:
    """Return the signed record of a signed gate; else the current record."""
    if gate.is_signed:
        signature = Signature.objects.valid().filter(slot__gate=gate).order_by("-pk").first()
        if signature is not None:
            record: records.Json = signature.record
            return record
    return gate.record()


def changed_since_last_signature(gate: Gate, record: records.Json) -> list[diff.Difference]:
    """Return the differences between the newest stale signature's record and another record."""
    last = Signature.objects.filter(slot__gate=gate).exclude(staleness=None).order_by("-pk").first()
    return diff.between(last.record, record) if last else []


def sections(record: records.Json) -> list[tuple[str, list[records.Json]]]:
    """Return the record's items under their headings, in order."""
    grouped = groupby(record["items"], key=lambda item: (item["phase"], item["section"]))
    return [(" · ".join(part for part in heading if part), list(items)) for heading, items in grouped]
