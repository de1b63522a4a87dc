"""Changes to signed content: the server rejects them if the page did not warn about the signatures."""

from __future__ import annotations

import html
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from checklists.models import Deployment
from deployctl.accounts.models import User
from deployctl.accounts.roles import Role
from signoff.models import Signature
from tests.checklists.factories import MACHINE, item, plan, published, team_of
from tests.signoff.signing import complete_items, sign

SignedIn = Callable[..., Client]
HTMX = {"HX-Request": "true"}
WARNING = "This was signed after your page was loaded."


@pytest.fixture
def signed(deployment: Deployment, dba: User) -> Deployment:
    complete_items(deployment, "pre")
    sign(deployment, dba, Role.DBA)
    return deployment


@pytest.mark.parametrize(
    ("action", "data"),
    [
        ("completion", {"_method": "DELETE"}),
        ("proofs", {"kind": "note", "text": "Look."}),
        ("runs", {}),
    ],
)
def test_a_change_from_a_page_without_a_warning_is_rejected(
    signed: Deployment, dba: User, signed_in: SignedIn, action: str, data: dict[str, str]
) -> None:
    checklist_item = item(signed, "Connection works")
    client = signed_in(dba)
    response = client.post(f"/items/{checklist_item.pk}/{action}", data, headers=HTMX)
    page = html.unescape(response.content.decode())
    assert (response.status_code, WARNING in page) == (409, True)
    assert not Signature.objects.get().is_stale
    # The response contains the warning, and its forms confirm it.
    assert "If you change it, its signatures become stale" in page
    assert 'name="confirm_revocation" value="1"' in page
    response = client.post(
        f"/items/{checklist_item.pk}/{action}", data | {"confirm_revocation": "1"}, headers=HTMX
    )
    assert response.status_code == 200
    assert Signature.objects.get().is_stale


def test_unsigned_items_change_without_a_warning(signed: Deployment, dba: User, signed_in: SignedIn) -> None:
    checklist_item = item(signed, "Reviewed the logs")
    assert signed_in(dba).post(f"/items/{checklist_item.pk}/completion", headers=HTMX).status_code == 200


def test_a_plan_form_without_a_warning_is_rejected(
    signed: Deployment, dba: User, signed_in: SignedIn
) -> None:
    client, url = signed_in(dba), reverse("checklists:deployment_edit", args=[signed.pk])
    form = client.get(url).context["form"]
    data = {name: form[name].value() for name in ("title", "rollback_plan", "notes")}
    data |= {name: f"{form[name].value():%Y-%m-%dT%H:%M}" for name in ("window_start", "window_end")}
    members = [(member.user_id, member.role) for member in signed.team.all()]
    data |= {"team-TOTAL_FORMS": "3", "team-INITIAL_FORMS": "0"}
    for number, (user, role) in enumerate(members):
        data |= {f"team-{number}-user": user, f"team-{number}-role": role}
    response = client.post(url, data | {"notes": "Only a note."})
    assert response.status_code == 303
    data |= {"title": "Another title"}
    response = client.post(url, data | {"notes": "Only a note."})
    page = html.unescape(response.content.decode())
    assert (response.status_code, WARNING in page) == (409, True)
    assert 'name="confirm_revocation" value="1"' in page
    assert not Signature.objects.get().is_stale
    response = client.post(url, data | {"notes": "Only a note.", "confirm_revocation": "1"})
    assert response.status_code == 303
    assert Signature.objects.get().is_stale


def test_slots_that_nobody_can_sign_are_blockers_from_the_start(
    dba: User, devops_lead: User, qa_lead: User, signed_in: SignedIn
) -> None:
    from checklists import readiness
    from tests.checklists.factories import a_target

    version = published()
    deployment = plan(a_target(), version, team_of(dba, devops_lead, qa_lead)[:1], by=MACHINE)
    sentences = [blocker.sentence for blocker in readiness.people_blockers(deployment)]
    assert "Nobody can sign as DevOps Lead: nobody in the team has this role." in sentences
    assert "Nobody can sign as QA Lead: nobody in the team has this role." in sentences
    page = html.unescape(signed_in(dba).get(deployment.get_absolute_url()).content.decode())
    assert page.count("Nobody can sign as QA Lead: nobody in the team has this role.") == 1
