"""A page that was opened before somebody signed did not warn: the server asks before it changes anything."""

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
TOLD = "This was signed after your page was loaded."


@pytest.fixture
def signed(deployment: Deployment, dba: User) -> Deployment:
    complete_items(deployment, "pre")
    sign(deployment, dba, Role.DBA)
    return deployment


@pytest.mark.parametrize(
    ("address", "given"),
    [
        ("completion", {"_method": "DELETE"}),
        ("proofs", {"kind": "note", "text": "Look."}),
        ("runs", {}),
    ],
)
def test_a_change_from_a_page_that_did_not_warn_is_asked_about(
    signed: Deployment, dba: User, signed_in: SignedIn, address: str, given: dict[str, str]
) -> None:
    checklist_item = item(signed, "Connection works")
    client = signed_in(dba)
    answer = client.post(f"/items/{checklist_item.pk}/{address}", given, headers=HTMX)
    page = html.unescape(answer.content.decode())
    assert (answer.status_code, TOLD in page) == (409, True)
    assert not Signature.objects.get().is_stale
    # What comes back warns, and its forms say so when they are sent.
    assert "A change here withdraws the signatures" in page
    assert 'name="withdraws" value="1"' in page
    answer = client.post(f"/items/{checklist_item.pk}/{address}", given | {"withdraws": "1"}, headers=HTMX)
    assert answer.status_code == 200
    assert Signature.objects.get().is_stale


def test_what_nobody_signed_is_changed_at_once(signed: Deployment, dba: User, signed_in: SignedIn) -> None:
    checklist_item = item(signed, "Reviewed the logs")
    assert signed_in(dba).post(f"/items/{checklist_item.pk}/completion", headers=HTMX).status_code == 200


def test_a_plan_opened_before_a_signature_is_not_saved_unasked(
    signed: Deployment, dba: User, signed_in: SignedIn
) -> None:
    client, address = signed_in(dba), reverse("checklists:deployment_edit", args=[signed.pk])
    form = client.get(address).context["form"]
    given = {name: form[name].value() for name in ("title", "rollback_plan", "notes")}
    given |= {name: f"{form[name].value():%Y-%m-%dT%H:%M}" for name in ("window_start", "window_end")}
    seats = [(seat.user_id, seat.role) for seat in signed.team.all()]
    given |= {"team-TOTAL_FORMS": "3", "team-INITIAL_FORMS": "0"}
    for number, (user, role) in enumerate(seats):
        given |= {f"team-{number}-user": user, f"team-{number}-role": role}
    noted = client.post(address, given | {"notes": "Only a note."})
    assert noted.status_code == 303
    given |= {"title": "Another title"}
    answer = client.post(address, given | {"notes": "Only a note."})
    page = html.unescape(answer.content.decode())
    assert (answer.status_code, TOLD in page) == (409, True)
    assert 'name="withdraws" value="1"' in page
    assert not Signature.objects.get().is_stale
    saved = client.post(address, given | {"notes": "Only a note.", "withdraws": "1"})
    assert saved.status_code == 303
    assert Signature.objects.get().is_stale


def test_who_plans_a_deployment_reads_at_once_which_places_nobody_can_fill(
    dba: User, devops_lead: User, qa_lead: User, signed_in: SignedIn
) -> None:
    from checklists import readiness
    from tests.checklists.factories import a_target

    version = published()
    made = plan(a_target(), version, team_of(dba, devops_lead, qa_lead)[:1], by=MACHINE)
    told = [blocker.sentence for blocker in readiness.people_blockers(made)]
    assert "Nobody can sign as DevOps Lead: nobody in the team has this role." in told
    assert "Nobody can sign as QA Lead: nobody in the team has this role." in told
    page = html.unescape(signed_in(dba).get(made.get_absolute_url()).content.decode())
    assert page.count("Nobody can sign as QA Lead: nobody in the team has this role.") == 1
