"""The rules for signing and delegating.

* A slot is signed by people with its role in the deployment's team, or by their delegates.
* Every signer has the approver permission. Each person counts once in a gate: nobody signs in two slots, or
  both in person and through a delegate.
* If the template excludes the creator of the deployment, the creator neither signs nor delegates.
* A slot is full when as many different people as its quorum have signed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission

if TYPE_CHECKING:
    from signoff.models import Delegation, Gate, Slot

NO_PERMISSION = "Signing requires the approver permission. Ask an administrator for it."


def sign_denied_reason(slot: Slot, by: User) -> str:
    """Return why this person cannot sign in this slot now, as a sentence; empty if they can."""
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
    """Return True if the person has the slot's role in the team."""
    team = slot.gate.deployment.team.all()
    return any(member.user_id == person.pk and member.role == slot.role for member in team)


def delegation_of(slot: Slot, person: User) -> Delegation | None:
    """Return the person's newest delegation in force for this slot; else the newest of any state."""
    held = [each for each in slot.delegations.all() if each.delegate_id == person.pk]
    return next((each for each in reversed(held) if each.is_in_force), held[-1] if held else None)


def timing_denied_reason(gate: Gate) -> str:
    """Return why this gate cannot be signed in the deployment's current state; empty if it can."""
    deployment = gate.deployment
    if deployment.state in gate.signable_states:
        return ""
    return (
        f"This gate can be signed while the deployment is {gate.usual_state.label.lower()}. "
        f"It is {deployment.get_state_display().lower()} now."
    )


def creator_denied_reason(gate: Gate, person: User) -> str:
    """Return why the deployment's creator cannot sign; empty for others, or if the template allows it."""
    if gate.creator_may_sign or gate.deployment.created_by_id != person.pk:
        return ""
    return (
        f"{person.name} created this deployment, and its template requires other people to sign "
        f"“{gate.title}”."
    )


def delegation_denied_reason(slot: Slot, by: User) -> str:
    """Return why this person cannot delegate this slot; empty if they can."""
    if not by.may(Permission.APPROVER):
        return NO_PERMISSION
    if not has_role(slot, by):
        return f"You are not this deployment's {slot.get_role_display()}, so you cannot delegate this slot."
    if slot.gate.deployment.is_final:
        deployment = slot.gate.deployment
        return f"“{deployment}” is {deployment.state_phrase} and can no longer be signed."
    return (
        creator_denied_reason(slot.gate, by)
        or _already_delegated_reason(slot, by)
        or _full_reason(slot)
        or _signed_already_reason(slot, by)
    )


def eligible_delegates(slot: Slot, by: User) -> list[User]:
    """Return the people to whom `by` can delegate a slot. They are the same for all slots of a gate."""
    people = User.objects.with_permission(Permission.APPROVER).prefetch_related("grants")
    return [each for each in people if not delegate_denied_reason(slot, by, each)]


def delegate_denied_reason(slot: Slot, by: User, to: User) -> str:
    """Return why this person cannot be the delegate; empty if they can."""
    gate = slot.gate
    if to.pk == by.pk:
        return "You cannot delegate to yourself. Nothing was changed; choose another person."
    if not to.may(Permission.APPROVER):
        return (
            f"{to.name} does not have the approver permission, and nothing was changed. Choose another "
            "person, or ask an administrator to grant it."
        )
    if sentence := creator_denied_reason(gate, to):
        return sentence
    if own := _existing_slot(gate, to):
        return (
            f"{to.name} already has a slot in this gate ({own}), and each slot needs a different person. "
            "Nothing was changed; choose another person."
        )
    return ""


def _existing_slot(gate: Gate, person: User) -> str:
    """Return the person's role, signature or delegation in a gate, as a phrase; empty if there is none."""
    for slot in gate.slots.all():
        if has_role(slot, person):
            return f"{slot.get_role_display()} in the team"
        if any(person.pk in signature.people for signature in slot.valid_signatures()):
            return f"signed as {slot.label}"
        held = delegation_of(slot, person)
        if held is not None and held.is_in_force:
            return f"signs as {slot.label} for {held.delegator_name}"
    return ""


def void_reason(delegation: Delegation) -> str:
    """Return why a delegation no longer allows signing, as a sentence to the delegate; empty if it does."""
    slot, delegator = delegation.slot, delegation.delegator
    name = delegation.delegator_name
    if delegation.is_revoked:
        return f"Your delegation from {name} as {slot.label} was revoked: {delegation.revocation.reason}"
    if delegation.is_expired:
        return f"Your delegation from {name} as {slot.label} has expired. Ask {name} to renew it or to sign."
    if not has_role(slot, delegator):
        return (
            f"Your delegation from {name} is void, because {name} is no longer this deployment's "
            f"{slot.get_role_display()}."
        )
    if not delegator.may(Permission.APPROVER):
        return f"Your delegation from {name} is void, because {name} no longer has the approver permission."
    own = next((other for other in slot.gate.slots.all() if has_role(other, delegation.delegate)), None)
    if own is not None:
        return (
            f"Your delegation from {name} is void, because you are now this deployment's "
            f"{own.get_role_display()}. Sign in that slot."
        )
    return ""


def _already_delegated_reason(slot: Slot, by: User) -> str:
    for each in slot.delegations.all():
        if each.delegator_id == by.pk and each.is_in_force:
            return (
                f"You have already delegated this slot to {each.delegate_name}. Revoke that delegation first."
            )
    return ""


def _full_reason(slot: Slot) -> str:
    valid = slot.valid_signatures()
    if len(valid) < slot.quorum:
        return ""
    signers = " and ".join(signature.names for signature in valid)
    return f"{signers} {'have' if len(valid) > 1 else 'has'} already signed as {slot.label}."


def _signed_already_reason(slot: Slot, by: User, delegation: Delegation | None = None) -> str:
    """Return why a further signature would count somebody twice in this gate; empty if it would not."""
    for signature in slot.gate.valid_signatures():
        if signature.signer_id == by.pk:
            if signature.slot_id == slot.pk:
                return f"You have already signed as {slot.label}. This slot needs another person as well."
            return "You have already signed in another slot of this gate. Each slot needs a different person."
        if by.pk in signature.people:
            return f"{signature.printed_name} has already signed this gate for you."
        if delegation is not None and delegation.delegator_id in signature.people:
            return f"{delegation.delegator_name}, for whom you would sign, has already signed this gate."
    return ""
