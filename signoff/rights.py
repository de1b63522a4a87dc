"""Who may sign where, and who may let somebody else do it: the rules, once.

* A place is signed by people with its role in the deployment's team, or by whom one of them lets sign
  instead.
* Everybody who signs has the approver permission. Nobody has a say twice in one gate, neither in two places
  nor in person and through somebody else.
* Where the template says so, who created the deployment does not sign, in no way.
* A place is full with as many different people as it asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission

if TYPE_CHECKING:
    from signoff.models import Delegation, Gate, Slot

NO_PERMISSION = "Signing needs the approver permission; ask an administrator for it."


def why_not_sign(slot: Slot, by: User) -> str:
    """Why this person may not sign here now, as a sentence; empty when they may."""
    gate = slot.gate
    if not by.may(Permission.APPROVER):
        return NO_PERMISSION
    delegation = None
    if not has_role(slot, by):
        delegation = delegation_of(slot, by)
        if delegation is None:
            return f"You are not this deployment's {slot.get_role_display()}."
        if sentence := why_void(delegation):
            return sentence
    principal = delegation.delegator if delegation else by
    if sentence := why_not_created(gate, by) or why_not_created(gate, principal):
        return sentence
    return why_not_now(gate) or _why_full(slot) or _why_twice(slot, by, delegation)


def has_role(slot: Slot, person: User) -> bool:
    """Whether the team gives this person the place's role."""
    team = slot.gate.deployment.team.all()
    return any(seat.user_id == person.pk and seat.role == slot.role for seat in team)


def delegation_of(slot: Slot, person: User) -> Delegation | None:
    """The delegation by which this person may sign here: the newest that counts, else the newest."""
    held = [each for each in slot.delegations.all() if each.delegate_id == person.pk]
    return next((each for each in reversed(held) if each.is_in_force), held[-1] if held else None)


def why_not_now(gate: Gate) -> str:
    """Why nobody signs this gate now; empty when it is its turn."""
    deployment = gate.deployment
    if deployment.state in gate.signable_states:
        return ""
    return (
        f"This gate is signed while the deployment is {gate.usual_state.label.lower()}; "
        f"it is {deployment.get_state_display().lower()}."
    )


def why_not_created(gate: Gate, person: User) -> str:
    """Why who created the deployment may not sign; empty for everybody else, and where they may."""
    if gate.creator_may_sign or gate.deployment.created_by_id != person.pk:
        return ""
    return (
        f"{person.name} created this deployment, and its template asks that others sign “{gate.title}”. "
        "Nothing was signed."
    )


def why_not_delegate(slot: Slot, by: User) -> str:
    """Why this person cannot let somebody sign here instead; empty when they can."""
    if not by.may(Permission.APPROVER):
        return NO_PERMISSION
    if not has_role(slot, by):
        return f"You are not this deployment's {slot.get_role_display()}, so this place is not yours to give."
    if slot.gate.deployment.is_final:
        return f"“{slot.gate.deployment}” is {slot.gate.deployment.now_in}; nothing of it is signed any more."
    return why_not_created(slot.gate, by) or _why_given(slot, by) or _why_full(slot) or _why_twice(slot, by)


def able_to_stand_in(slot: Slot, by: User) -> list[User]:
    """The people to whom the place can go; it is the same for every place of a gate."""
    people = User.objects.with_permission(Permission.APPROVER).prefetch_related("grants")
    return [each for each in people if not why_not_delegate_to(slot, by, each)]


def why_not_delegate_to(slot: Slot, by: User, to: User) -> str:
    """Why the place cannot go to this person; empty when it can."""
    gate = slot.gate
    if to.pk == by.pk:
        return "You cannot let yourself sign in your place. Nothing was changed; name somebody else."
    if not to.may(Permission.APPROVER):
        return (
            f"{to.name} does not have the approver permission, without which nobody signs. Nothing was "
            "changed; name somebody else, or ask an administrator to give it."
        )
    if sentence := why_not_created(gate, to):
        return sentence
    if own := place_of(gate, to):
        return (
            f"{to.name} holds a place of this gate already: {own}. Each place needs another person, so "
            "nothing was changed; name somebody else."
        )
    return ""


def place_of(gate: Gate, person: User) -> str:
    """What this person has in a gate already, in words: a role, a signature or a delegation."""
    for slot in gate.slots.all():
        if has_role(slot, person):
            return f"they are {slot.get_role_display()} in its team"
        if any(person.pk in signature.people for signature in slot.standing_signatures()):
            return f"they signed as {slot.label}"
        held = delegation_of(slot, person)
        if held is not None and held.is_in_force:
            return f"they sign as {slot.label} for {held.delegator_name}"
    return ""


def why_void(delegation: Delegation) -> str:
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
        return f"{told}you are this deployment's {own.get_role_display()} yourself by now: sign that place."
    return ""


def _why_given(slot: Slot, by: User) -> str:
    for each in slot.delegations.all():
        if each.delegator_id == by.pk and each.is_in_force:
            return f"You let {each.delegate_name} sign here already; withdraw that first."
    return ""


def _why_full(slot: Slot) -> str:
    standing = slot.standing_signatures()
    if len(standing) < slot.quorum:
        return ""
    who = " and ".join(signature.names for signature in standing)
    return f"{who} {'have' if len(standing) > 1 else 'has'} already signed as {slot.label}."


def _why_twice(slot: Slot, by: User, delegation: Delegation | None = None) -> str:
    """Nobody has two says in a gate, whether their own hand wrote both or somebody else's one of them."""
    for signature in slot.gate.standing_signatures():
        if signature.signer_id == by.pk:
            if signature.slot_id == slot.pk:
                return f"You have already signed as {slot.label}; the place needs another person besides you."
            return "You already signed this gate in another place; each place needs another person."
        if by.pk in signature.people:
            return f"{signature.printed_name} already signed this gate for you; your say is given."
        if delegation is not None and delegation.delegator_id in signature.people:
            return f"{delegation.delegator_name}, for whom you would sign, has a say in this gate already."
    return ""
