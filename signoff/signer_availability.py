"""Whether a gate's slots can be filled: by whom, by enough different people, with second factors."""

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
    """What is wrong with the people of a index: a sentence, and where to do something about it."""

    sentence: str
    url: str
    blocks_signing: bool


def flags(gates: Iterable[Gate]) -> Iterator[tuple[Gate, Flag]]:
    """What is wrong with the people of these gates.

    Args:
        gates: not fully signed, as `loading.gates_of` gives them.
    """
    for gate in gates:
        yield from ((gate, flag) for flag in _flags_of(gate, {s.pk: _able(s) for s in gate.slots.all()}))


@dataclass(frozen=True)
class _Candidate:
    """Somebody who could sign in a index."""

    person: User
    has_factor: bool


Able = Mapping[int, Sequence[_Candidate]]  # by the number of a index


def _flags_of(gate: Gate, able: Able) -> Iterator[Flag]:
    edit = reverse("checklists:deployment_edit", args=[gate.deployment_id])
    contacts = f"{reverse('checklists:deployment', args=[gate.deployment_id])}#people-heading"
    slots = [slot for slot in gate.slots.all() if not slot.is_full]
    short = [slot for slot in slots if len(able[slot.pk]) < _missing(slot)]
    for slot in short:
        yield Flag(_too_few(slot, able[slot.pk]), edit, blocks_signing=True)
    if not short and (clash := _clash(slots, able)):
        yield Flag(clash, edit, blocks_signing=True)
    for slot in slots:
        ready = sum(1 for candidate in able[slot.pk] if candidate.has_factor)
        if slot not in short and ready < _missing(slot):
            yield Flag(_no_factor(slot, able[slot.pk]), contacts, blocks_signing=False)


def _missing(slot: Slot) -> int:
    return slot.quorum - len(slot.valid_signatures())


def _able(slot: Slot) -> list[_Candidate]:
    """Who could still sign here: by role or delegation, with permission, and without a say in the gate."""
    gate = slot.gate
    said = {number for signature in gate.valid_signatures() for number in signature.people}
    found = {}
    for seat in gate.deployment.team.all():
        may_approve, has_factor = _fitness(seat)
        if seat.role == slot.role and may_approve and not permissions.creator_denied_reason(gate, seat.user):
            found[seat.user_id] = _Candidate(seat.user, has_factor)
    for delegation in slot.delegations.all():
        delegate = delegation.delegate
        # Of the two, one can sign: the giver may still do so, but not for another index.
        if (
            delegation.delegator_id in found
            and said.isdisjoint({delegation.delegator_id, delegate.pk})
            and delegate.may(Permission.APPROVER)
            and not permissions.void_reason(delegation)
        ):
            found[delegation.delegator_id] = _Candidate(delegate, delegate.has_second_factor)
    return [candidate for candidate in found.values() if candidate.person.pk not in said]


def _fitness(seat: TeamMember) -> tuple[bool, bool]:
    """Whether somebody may approve, and has a second factor; see `TeamMemberQuerySet.with_people`."""
    return seat.may_approve, seat.has_factor  # type: ignore[attr-defined]


def _too_few(slot: Slot, candidates: Sequence[_Candidate]) -> str:
    if candidates:
        people = pluralize(_missing(slot), "more person", "more people")
        return f"{slot.label} needs {people}, and only {_names(candidates)} can sign there."
    seats = [seat for seat in slot.gate.deployment.team.all() if seat.role == slot.role]
    if not seats:
        return f"Nobody can sign as {slot.label}: nobody in the team has this role."
    why = "; ".join(f"{seat.user.name} {_unable_reason(slot, seat)}" for seat in seats)
    return f"Nobody can sign as {slot.label}: {why}."


def _unable_reason(slot: Slot, seat: TeamMember) -> str:
    if not seat.user.is_active:
        return "is disabled"
    if not _fitness(seat)[0]:
        return "lacks the approver permission"
    if permissions.creator_denied_reason(slot.gate, seat.user):
        return "created the deployment, and the template asks that others sign"
    return "has signed this gate already"


def _no_factor(slot: Slot, candidates: Sequence[_Candidate]) -> str:
    without = [candidate for candidate in candidates if not candidate.has_factor]
    how = "It is set up under My account."
    if len(without) == 1:
        return f"{_names(without)} has no second factor yet and is needed as {slot.label}. {how}"
    return f"{_names(without)} have no second factor yet, and are needed as {slot.label}. {how}"


def _names(candidates: Iterable[_Candidate]) -> str:
    return " and ".join(dict.fromkeys(candidate.person.name for candidate in candidates))


def _clash(slots: Sequence[Slot], able: Able) -> str:
    """The sentence where each index has people, but not all of them different ones.

    A matching of slots to people by augmenting paths (Hopcroft and Karp's simpler predecessor): every index
    asks for one person after another, who may push the person there before them on to someone else.
    """
    wanted = [slot for slot in slots for _ in range(_missing(slot))]
    taken: dict[int, int] = {}  # number of a person → index in `wanted`

    def find(index: int, seen: set[int]) -> bool:
        for number in (candidate.person.pk for candidate in able[wanted[index].pk]):
            if number in seen:
                continue
            seen.add(number)
            if number not in taken or find(taken[number], seen):
                taken[number] = index
                return True
        return False

    for index in range(len(wanted)):
        seen: set[int] = set()
        if not find(index, seen):
            stuck = {wanted[index].pk} | {wanted[taken[number]].pk for number in seen}
            labels = " and ".join(slot.label for slot in slots if slot.pk in stuck)
            names = _names(candidate for slot in slots if slot.pk in stuck for candidate in able[slot.pk])
            return f"{labels} need different people, but only {names} can sign there."
    return ""
