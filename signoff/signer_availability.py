"""Check whether a gate's slots can be filled: enough different people, with permission and second factor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.urls import reverse

from checklists.models import TeamMember
from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission
from deployctl.text import pluralize
from signoff import permissions
from signoff.models import Gate, Slot


@dataclass(frozen=True)
class Flag:
    """A problem with the signers of a gate, and the path of the page where it can be resolved."""

    sentence: str
    url: str
    blocks_signing: bool


def flags(gates: Iterable[Gate]) -> Iterator[tuple[Gate, Flag]]:
    """Return the problems with the signers of these gates.

    Args:
        gates: gates that are not fully signed, from `prefetch.gates_of`.
    """
    for gate in gates:
        candidates = {slot.pk: _candidates(slot) for slot in gate.slots.all()}
        yield from ((gate, flag) for flag in _flags_of(gate, candidates))


@dataclass(frozen=True)
class _Candidate:
    """A person who could sign in a slot."""

    person: User
    has_factor: bool


Candidates = Mapping[int, Sequence[_Candidate]]  # by primary key of the slot


def _flags_of(gate: Gate, candidates: Candidates) -> Iterator[Flag]:
    edit = reverse("checklists:deployment_edit", args=[gate.deployment_id])
    contacts = f"{reverse('checklists:deployment', args=[gate.deployment_id])}#people-heading"
    slots = [slot for slot in gate.slots.all() if not slot.is_full]
    short = [slot for slot in slots if len(candidates[slot.pk]) < _missing(slot)]
    for slot in short:
        yield Flag(_too_few(slot, candidates[slot.pk]), edit, blocks_signing=True)
    if not short and (conflict := _conflict(slots, candidates)):
        yield Flag(conflict, edit, blocks_signing=True)
    for slot in slots:
        ready = sum(1 for candidate in candidates[slot.pk] if candidate.has_factor)
        if slot not in short and ready < _missing(slot):
            yield Flag(_no_factor(slot, candidates[slot.pk]), contacts, blocks_signing=False)


def _missing(slot: Slot) -> int:
    return slot.quorum - len(slot.valid_signatures())


def _candidates(slot: Slot) -> list[_Candidate]:
    """Return the people who can still sign in this slot, by role or delegation."""
    gate = slot.gate
    signed = {number for signature in gate.valid_signatures() for number in signature.people}
    found = {}
    for member in gate.deployment.team.all():
        may_approve, has_factor = _ability(member)
        if (
            member.role == slot.role
            and may_approve
            and not permissions.creator_denied_reason(gate, member.user)
        ):
            found[member.user_id] = _Candidate(member.user, has_factor)
    for delegation in slot.delegations.all():
        delegate = delegation.delegate
        # Only one of the two can sign, so the delegate replaces the delegator as candidate.
        if (
            delegation.delegator_id in found
            and signed.isdisjoint({delegation.delegator_id, delegate.pk})
            and delegate.may(Permission.APPROVER)
            and not permissions.void_reason(delegation)
        ):
            found[delegation.delegator_id] = _Candidate(delegate, delegate.has_second_factor)
    return [candidate for candidate in found.values() if candidate.person.pk not in signed]


def _ability(member: TeamMember) -> tuple[bool, bool]:
    """Return the annotations of `TeamMemberQuerySet.with_people`: may approve, has a second factor."""
    return member.may_approve, member.has_factor  # type: ignore[attr-defined]


def _too_few(slot: Slot, candidates: Sequence[_Candidate]) -> str:
    if candidates:
        people = pluralize(_missing(slot), "more person", "more people")
        return f"{slot.label} needs {people}, but only {_names(candidates)} can sign there."
    members = [member for member in slot.gate.deployment.team.all() if member.role == slot.role]
    if not members:
        return f"Nobody can sign as {slot.label}: nobody in the team has this role."
    reasons = "; ".join(f"{member.user.name} {_unable_reason(slot, member)}" for member in members)
    return f"Nobody can sign as {slot.label}: {reasons}."


def _unable_reason(slot: Slot, member: TeamMember) -> str:
    if not member.user.is_active:
        return "is disabled"
    if not _ability(member)[0]:
        return "lacks the approver permission"
    if permissions.creator_denied_reason(slot.gate, member.user):
        return "created the deployment, and the template requires other people to sign"
    return "has already signed this gate"


def _no_factor(slot: Slot, candidates: Sequence[_Candidate]) -> str:
    without = [candidate for candidate in candidates if not candidate.has_factor]
    need, have = ("is needed", "has") if len(without) == 1 else ("are needed", "have")
    return (
        f"{_names(without)} {need} as {slot.label} but {have} no second factor yet. "
        "It can be set up under My account."
    )


def _names(candidates: Iterable[_Candidate]) -> str:
    return " and ".join(dict.fromkeys(candidate.person.name for candidate in candidates))


def _conflict(slots: Sequence[Slot], candidates: Candidates) -> str:
    """Return a sentence if each slot has enough candidates, but the slots have too few different ones.

    This is a bipartite matching of missing signatures to people by augmenting paths (Kuhn's algorithm).
    """
    missing = [slot for slot in slots for _ in range(_missing(slot))]
    assigned: dict[int, int] = {}  # primary key of a person → index in `missing`

    def find(index: int, seen: set[int]) -> bool:
        for number in (candidate.person.pk for candidate in candidates[missing[index].pk]):
            if number in seen:
                continue
            seen.add(number)
            if number not in assigned or find(assigned[number], seen):
                assigned[number] = index
                return True
        return False

    for index in range(len(missing)):
        seen: set[int] = set()
        if not find(index, seen):
            short = {missing[index].pk} | {missing[assigned[number]].pk for number in seen}
            labels = " and ".join(slot.label for slot in slots if slot.pk in short)
            names = _names(person for slot in slots if slot.pk in short for person in candidates[slot.pk])
            return f"{labels} need different people, but only {names} can sign there."
    return ""
