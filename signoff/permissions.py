"""Who may sign where, and who may let somebody else do it: the rules, once.

* A slot is signed by people with its role in the deployment's team, or by whom one of them lets sign
  instead.
* Everybody who signs has the approver permission. Nobody has a say twice in one gate, neither in two slots
  nor in person and through somebody else.
* Where the template says so, who created the deployment does not sign, in no way.
* A slot is full with as many different people as it asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission

if TYPE_CHECKING:
    from signoff.models import Delegation, Gate, Slot

NO_PERMISSION = "Signing needs the approver permission; ask an administrator for it."


def sign_denied_reason(slot: Slot, by: User) -> str:
    """Why this person may not sign here now, as a sentence; empty when they may."""
    gate = slot.gate
    if not by.may(Permission.APPROVER):
        return NO_PERMISSION
    delegation = None
    if not has_role(slot, by):
        delegation = delegation_of(slot, by)
        if delegation is None:
            return f"You are not this deployment's {slot.get_role_display()}."
        if sentence := void_reason(delegation):
            return sentence
    principal = delegation.delegator if delegation else by
    if sentence := creator_denied_reason(gate, by) or creator_denied_reason(gate, principal):
        return sentence
    return timing_denied_reason(gate) or _full_reason(slot) or _signed_already_reason(slot, by, delegation)


def has_role(slot: Slot, person: User) -> bool:
    """Whether the team gives this person the slot's role."""
    team = slot.gate.deployment.team.all()
    return any(seat.user_id == person.pk and seat.role == slot.role for seat in team)


def delegation_of(slot: Slot, person: User) -> Delegation | None:
    """The delegation by which this person may sign here: the newest that counts, else the newest."""
    held = [each for each in slot.delegations.all() if each.delegate_id == person.pk]
    return next((each for each in reversed(held) if each.is_in_force), held[-1] if held else None)


def timing_denied_reason(gate: Gate) -> str:
    """Why nobody signs this gate now; empty when it is its turn."""
    deployment = gate.deployment
    if deployment.state in gate.signable_states:
        return ""
    return (
        f"This gate is signed while the deployment is {gate.usual_state.label.lower()}; "
        f"it is {deployment.get_state_display().lower()}."
    )


def creator_denied_reason(gate: Gate, person: User) -> str:
    """Why who created the deployment may not sign; empty for everybody else, and where they may."""
    if gate.creator_may_sign or gate.deployment.created_by_id != person.pk:
        return ""
    return (
        f"{person.name} created this deployment, and its template asks that others sign “{gate.title}”. "
        "Nothing was signed."
    )


def delegation_denied_reason(slot: Slot, by: User) -> str:
    """Why this person cannot let somebody sign here instead; empty when they can."""
    if not by.may(Permission.APPROVER):
        return NO_PERMISSION
    if not has_role(slot, by):
        return f"You are not this deployment's {slot.get_role_display()}, so this slot is not yours to give."
    if slot.gate.deployment.is_final:
        deployment = slot.gate.deployment
        return f"“{deployment}” is {deployment.state_phrase}; nothing of it is signed any more."
    return (
        creator_denied_reason(slot.gate, by)
        or _already_delegated_reason(slot, by)
        or _full_reason(slot)
        or _signed_already_reason(slot, by)
    )


def eligible_delegates(slot: Slot, by: User) -> list[User]:
    """The people to whom the slot can go; it is the same for every slot of a gate."""
    people = User.objects.with_permission(Permission.APPROVER).prefetch_related("grants")
    return [each for each in people if not delegate_denied_reason(slot, by, each)]


def delegate_denied_reason(slot: Slot, by: User, to: User) -> str:
    """Why the slot cannot go to this person; empty when it can."""
    gate = slot.gate
    if to.pk == by.pk:
        return "You cannot let yourself sign in your slot. Nothing was changed; name somebody else."
    if not to.may(Permission.APPROVER):
        return (
            f"{to.name} does not have the approver permission, without which nobody signs. Nothing was "
            "changed; name somebody else, or ask an administrator to give it."
        )
    if sentence := creator_denied_reason(gate, to):
        return sentence
    if own := part_in_gate(gate, to):
        return (
            f"{to.name} holds a slot of this gate already: {own}. Each slot needs another person, so "
            "nothing was changed; name somebody else."
        )
    return ""


def part_in_gate(gate: Gate, person: User) -> str:
    """What this person has in a gate already, in words: a role, a signature or a delegation."""
    for slot in gate.slots.all():
        if has_role(slot, person):
            return f"they are {slot.get_role_display()} in its team"
        if any(person.pk in signature.people for signature in slot.valid_signatures()):
            return f"they signed as {slot.label}"
        held = delegation_of(slot, person)
        if held is not None and held.is_in_force:
            return f"they sign as {slot.label} for {held.delegator_name}"
    return ""


def void_reason(delegation: Delegation) -> str:
    """Why a delegation does not let anybody sign; empty when it does."""
    slot, giver = delegation.slot, delegation.delegator
    told = f"{delegation.delegator_name} let you sign as {slot.label}, but "
    if delegation.is_withdrawn:
        return f"{told}that was withdrawn: {delegation.withdrawal.reason}"
    if delegation.is_over:
        return f"{told}that has ended. Ask for it again, or let {delegation.delegator_name} sign."
    if not has_role(slot, giver):
        return f"{told}is no longer this deployment's {slot.get_role_display()}."
    if not giver.may(Permission.APPROVER):
        return f"{told}may no longer sign."
    own = next((other for other in slot.gate.slots.all() if has_role(other, delegation.delegate)), None)
    if own is not None:
        return f"{told}you are this deployment's {own.get_role_display()} yourself by now: sign that slot."
    return ""


def _already_delegated_reason(slot: Slot, by: User) -> str:
    for each in slot.delegations.all():
        if each.delegator_id == by.pk and each.is_in_force:
            return f"You let {each.delegate_name} sign here already; withdraw that first."
    return ""


def _full_reason(slot: Slot) -> str:
    standing = slot.valid_signatures()
    if len(standing) < slot.quorum:
        return ""
    who = " and ".join(signature.names for signature in standing)
    return f"{who} {'have' if len(standing) > 1 else 'has'} already signed as {slot.label}."


def _signed_already_reason(slot: Slot, by: User, delegation: Delegation | None = None) -> str:
    """Nobody has two says in a gate, whether their own hand wrote both or somebody else's one of them."""
    for signature in slot.gate.valid_signatures():
        if signature.signer_id == by.pk:
            if signature.slot_id == slot.pk:
                return f"You have already signed as {slot.label}; the slot needs another person besides you."
            return "You already signed this gate in another slot; each slot needs another person."
        if by.pk in signature.people:
            return f"{signature.printed_name} already signed this gate for you; your say is given."
        if delegation is not None and delegation.delegator_id in signature.people:
            return f"{delegation.delegator_name}, for whom you would sign, has a say in this gate already."
    return ""
