"""Creating and revoking delegations on the page of a gate."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from checklists.models import Deployment
from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission, Role
from deployctl.audit.models import Entry
from signoff.models import Delegation
from tests.checklists import factories
from tests.signoff.signing import MACHINE, slot_of

SignedIn = Callable[..., Client]


def test_the_page_creates_and_revokes_a_delegation(
    deployment: Deployment, dba: User, cto: User, signed_in: SignedIn
) -> None:
    client, page = signed_in(dba), reverse("signoff:gate", args=[deployment.pk, "pre"])
    assert "Delegate my signature" in client.get(page).content.decode()
    form_data = {
        "slot": slot_of(deployment, Role.DBA).pk,
        "to": cto.pk,
        "until": f"{timezone.localtime() + timedelta(days=1):%Y-%m-%dT%H:%M}",
    }
    address = reverse("signoff:delegations", args=[deployment.pk])
    assert client.post(address, form_data | {"until": "soon"}).status_code == 422
    assert client.post(reverse("signoff:delegations", args=[deployment.pk + 1]), form_data).status_code == 404
    assert client.post(address, form_data).status_code == 303
    delegate_page = html.unescape(signed_in(cto).get(page).content.decode())
    assert f"{cto.name} can sign as Database Administrator for {dba.name}" in delegate_page
    assert "Sign as Database Administrator" in delegate_page
    revocation = reverse("signoff:delegation_revocation", args=[Delegation.objects.get().pk])
    assert signed_in(cto).post(revocation, {"reason": "I cannot."}).status_code == 303
    assert "Sign as Database Administrator" not in signed_in(cto).get(page).content.decode()


def test_the_form_offers_only_eligible_delegates(
    deployment: Deployment, dba: User, devops_lead: User, cto: User, app_lead: User, signed_in: SignedIn
) -> None:
    Delegation.create(
        slot_of(deployment, Role.DEVOPS_LEAD), cto, by=devops_lead, until=timezone.now() + timedelta(hours=1)
    )
    page = signed_in(dba).get(reverse("signoff:gate", args=[deployment.pk, "pre"])).text
    choice = page[page.index('id="id_delegation_to"') :].partition("</select>")[0]
    offered = {int(value) for value in re.findall(r'<option value="(\d+)"', choice)}
    assert app_lead.pk in offered
    assert not offered & {dba.pk, devops_lead.pk, cto.pk}

    for person in User.objects.exclude(pk__in=[dba.pk, devops_lead.pk, cto.pk]):
        person.revoke(Permission.APPROVER, by=MACHINE)
        person.revoke(Permission.ADMINISTRATOR, by=MACHINE)
    page = signed_in(dba).get(reverse("signoff:gate", args=[deployment.pk, "pre"])).text
    assert "Nobody can be your delegate" in page
    assert 'id="id_delegation_to"' not in page


@pytest.mark.parametrize(
    ("changed", "status", "expected"),
    [
        ({"until": "soon"}, 422, "Enter a valid date/time."),
        ({"to": ""}, 422, "This field is required."),
        ({"until": "2001-01-01T10:00"}, 422, "must end in the future"),
        ({"to": "devops_lead"}, 409, "already has a slot in this gate (DevOps Lead in the team)"),
    ],
)
def test_errors_are_shown_at_the_form_and_the_input_is_kept(
    deployment: Deployment,
    dba: User,
    devops_lead: User,
    cto: User,
    signed_in: SignedIn,
    changed: dict[str, str],
    status: int,
    expected: str,
) -> None:
    form_data = {
        "slot": str(slot_of(deployment, Role.DBA).pk),
        "to": str(cto.pk),
        "until": f"{timezone.localtime() + timedelta(days=1):%Y-%m-%dT%H:%M}",
        "note": "On leave until then.",
    } | changed
    if form_data["to"] == "devops_lead":
        form_data["to"] = str(devops_lead.pk)
    response = signed_in(dba).post(reverse("signoff:delegations", args=[deployment.pk]), form_data)

    page = html.unescape(response.text)
    assert response.status_code == status
    assert '<details class="disclosure" id="delegate" open>' in page
    form = page[page.index('id="delegate"') :].partition("</form>")[0]
    assert expected in form
    assert "On leave until then." in form
    assert f'value="{form_data["until"]}"' in form
    assert 'id="sign"' in page  # the rest of the page is there as well
    assert not Delegation.objects.exists()


def test_after_an_error_all_own_slots_are_still_offered(
    dba: User, qa_lead: User, cto: User, signed_in: SignedIn
) -> None:
    both: list[tuple[User, str]] = [(dba, Role.DBA), (dba, Role.DEVOPS_LEAD), (qa_lead, Role.QA_LEAD)]
    deployment = factories.plan(factories.a_target(), factories.published(), both)
    slots = [slot_of(deployment, role) for role in (Role.DBA, Role.DEVOPS_LEAD)]
    form_data = {"slot": slots[1].pk, "to": cto.pk, "until": "soon"}
    page = signed_in(dba).post(reverse("signoff:delegations", args=[deployment.pk]), form_data).text

    choice = page[page.index('id="id_delegation_slot"') :].partition("</select>")[0]
    assert {int(value) for value in re.findall(r'<option value="(\d+)"', choice)} == {
        slot.pk for slot in slots
    }
    assert f'<option value="{slots[1].pk}" selected>' in choice


def test_delegating_another_persons_slot_is_denied_and_audited(
    deployment: Deployment, app_lead: User, cto: User, signed_in: SignedIn
) -> None:
    form_data = {
        "slot": slot_of(deployment, Role.DBA).pk,
        "to": cto.pk,
        "until": f"{timezone.localtime() + timedelta(days=1):%Y-%m-%dT%H:%M}",
    }
    response = signed_in(app_lead).post(reverse("signoff:delegations", args=[deployment.pk]), form_data)

    assert response.status_code == 403
    assert not Delegation.objects.exists()
    entry = Entry.objects.first()
    assert entry is not None
    assert (entry.action, entry.actor) == ("access.denied", app_lead)


def test_delegating_requires_a_fresh_code(deployment: Deployment, dba: User, signed_in: SignedIn) -> None:
    response = signed_in(dba, code=False).post(reverse("signoff:delegations", args=[deployment.pk]))
    assert response.headers["Location"].startswith(reverse("accounts:step_up"))
