from __future__ import annotations

import html
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from checklists.models import Deployment, DeploymentState
from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission, Role
from deployctl.accounts.testing import current_code, wrong_code
from signoff import record as records
from signoff.models import Signature
from tests.checklists import factories
from tests.people import PASSWORD
from tests.signoff.signing import MACHINE, gate_of, plan_by_rules, sign, slot_of

SignedIn = Callable[..., Client]


def _page(deployment: Deployment, key: str = "pre") -> str:
    return reverse("signoff:gate", args=[deployment.pk, key])


def _post(client: Client, deployment: Deployment, user: User, role: str, **changes: str) -> tuple[int, str]:
    given = {
        "slot": str(slot_of(deployment, role).pk),
        "digest": records.digest(gate_of(deployment).record()),
        "meaning": "on",
        "password": PASSWORD,
        "code": changes.get("code") or current_code(user),
    }
    answer = client.post(reverse("signoff:signatures", args=[deployment.pk]), given | changes)
    return answer.status_code, html.unescape(answer.content.decode())


def test_the_page_shows_what_is_signed_and_its_digest(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    page = signed_in(dba).get(_page(deployment)).content.decode()
    assert records.digest(gate_of(deployment).record()) in page
    assert "Restore the backup." in page
    assert "I approve this deployment for production." in page


def test_signing_brings_back_to_the_deployment(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    status, _ = _post(signed_in(dba), deployment, dba, Role.DBA)
    assert status in {302, 303}
    assert Signature.objects.get().signer == dba


def test_without_the_meaning_nothing_is_signed(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    status, page = _post(signed_in(dba), deployment, dba, Role.DBA, meaning="")
    assert status == 422
    assert "Confirm what your signature means" in page
    assert not Signature.objects.exists()


def test_a_wrong_code_is_told_on_the_page_and_no_secret_is_given_back(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    client = signed_in(dba)
    status, page = _post(client, deployment, dba, Role.DBA, code=wrong_code(dba))
    assert status == 422
    assert "code is wrong" in page
    assert PASSWORD not in page


def test_after_a_refusal_the_browser_comes_back_to_where_it_is_told(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    client = signed_in(dba)
    _, page = _post(client, deployment, dba, Role.DBA, code=wrong_code(dba))
    told = page.index("code is wrong")
    assert page.index('id="signing"') < told
    assert f'action="{reverse("signoff:signatures", args=[deployment.pk])}#signing"' in page


def test_a_record_that_changed_meanwhile_is_shown_anew(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    shown = records.digest(gate_of(deployment).record())
    deployment.edit(MACHINE, rollback_plan="Another plan.")
    status, page = _post(signed_in(dba), deployment, dba, Role.DBA, digest=shown)
    assert status == 409
    assert "record changed" in page
    assert f'value="{records.digest(gate_of(deployment).record())}"' in page


def test_who_may_not_sign_reads_why(deployment: Deployment, app_lead: User, signed_in: SignedIn) -> None:
    page = html.unescape(signed_in(app_lead).get(_page(deployment)).content.decode())
    assert "You are not this deployment's Database Administrator." in page
    assert 'name="password"' not in page


def test_somebody_elses_place_cannot_be_signed_by_its_number(
    deployment: Deployment, cto: User, signed_in: SignedIn
) -> None:
    status, page = _post(signed_in(cto), deployment, cto, Role.DBA)
    assert status == 403
    assert "You are not this deployment's Database Administrator." in page


def test_a_place_of_another_deployment_is_not_found(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    other = reverse("signoff:signatures", args=[deployment.pk + 1])
    assert signed_in(dba).post(other, {"slot": slot_of(deployment, Role.DBA).pk}).status_code == 404


def test_a_viewer_reads_and_is_refused_to_sign(
    deployment: Deployment, viewer: User, signed_in: SignedIn
) -> None:
    client = signed_in(viewer)
    assert client.get(_page(deployment)).status_code == 200
    assert _post(client, deployment, viewer, Role.DBA)[0] == 403


def test_blockers_are_listed_with_links(deployment: Deployment, dba: User, signed_in: SignedIn) -> None:
    item = factories.item(deployment, "Server is there")
    item.undo(MACHINE)
    page = signed_in(dba).get(_page(deployment)).content.decode()
    assert f"#item-{item.pk}" in page


def test_what_changed_since_the_last_signature_is_told(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    sign(deployment, dba, Role.DBA)
    deployment.edit(MACHINE, rollback_plan="Another plan.")
    page = signed_in(dba).get(_page(deployment)).content.decode()
    assert "What changed since the last signature" in page
    assert "Another plan." in page


def test_a_signed_gate_shows_what_was_signed(
    deployment: Deployment, dba: User, devops_lead: User, signed_in: SignedIn
) -> None:
    digest = records.digest(gate_of(deployment).record())
    sign(deployment, dba, Role.DBA)
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    deployment.refresh_from_db()
    assert deployment.state == DeploymentState.APPROVED
    page = signed_in(dba).get(_page(deployment)).content.decode()
    assert digest in page
    assert dba.name in page


def test_a_number_that_is_none_finds_no_place(deployment: Deployment, dba: User, signed_in: SignedIn) -> None:
    address = reverse("signoff:signatures", args=[deployment.pk])
    for nonsense in ("", "x", "-1", "9" * 5000):
        assert signed_in(dba).post(address, {"slot": nonsense}).status_code == 404, nonsense


def test_who_comes_second_reads_that_somebody_else_has_signed(
    deployment: Deployment, dba: User, devops_lead: User, cto: User, signed_in: SignedIn
) -> None:
    team = [(seat.user, seat.role) for seat in deployment.team.all()]
    deployment.edit(MACHINE, team=[*team, (cto, Role.DBA)])
    sign(deployment, dba, Role.DBA)
    status, page = _post(signed_in(cto), deployment, cto, Role.DBA)
    assert (status, f"{dba.name} has already signed" in page) == (403, True)
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    status, page = _post(signed_in(cto), deployment, cto, Role.DBA)
    assert (status, "This gate is signed while" in page) == (403, True)


def test_what_came_in_the_way_meanwhile_is_told(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    factories.item(deployment, "Server is there").undo(MACHINE)
    status, page = _post(signed_in(dba), deployment, dba, Role.DBA)
    assert (status, "Not ready to be signed." in page) == (409, True)


def test_a_place_whose_signature_went_stale_offers_to_sign_again(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    sign(deployment, dba, Role.DBA)
    client = signed_in(dba)
    assert "Sign as Database Administrator" not in client.get(_page(deployment)).content.decode()
    deployment.edit(MACHINE, rollback_plan="Another plan.")
    assert "Sign as Database Administrator" in client.get(_page(deployment)).content.decode()


def test_a_larger_team_and_more_signatures_ask_the_database_no_more(
    deployment: Deployment, dba: User, devops_lead: User, cto: User, app_lead: User, signed_in: SignedIn
) -> None:
    client, address = signed_in(dba), reverse("signoff:fragment", args=[gate_of(deployment).pk])

    def questions(url: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(url).status_code == 200
        return len(asked)

    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    before = [questions(address), questions(_page(deployment)), questions("/")]
    team = [(seat.user, seat.role) for seat in deployment.team.all()]
    deployment.edit(MACHINE, team=[*team, (cto, Role.CTO), (app_lead, Role.APP_TEAM_LEAD)])
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    # The page now also tells what changed since the first signature.
    after = [questions(address), questions(_page(deployment)) - 1, questions("/")]
    assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)


def test_the_first_of_three_signatures_already_warns_before_a_change(
    deployment: Deployment, dba: User, devops_lead: User, signed_in: SignedIn
) -> None:
    promise = factories.item(deployment, "Server")
    page = signed_in(devops_lead).get(f"{promise.get_absolute_url()}?open").content.decode()
    assert "This item is signed." not in page
    sign(deployment, dba, Role.DBA)
    page = signed_in(devops_lead).get(f"{promise.get_absolute_url()}?open").content.decode()
    assert "This item is signed. If you change it, its signatures become stale" in page
    assert f'aria-label="Show details: {promise}"' in page  # its box opens it instead of undoing it at once
    promise.undo(devops_lead)
    page = signed_in(devops_lead).get(f"{promise.get_absolute_url()}?open").content.decode()
    assert "This item is signed." not in page


@pytest.mark.parametrize("lost", ["the role", "the permission", "the account"])
def test_what_a_signer_lost_after_the_page_was_loaded_is_asked_for_again(
    deployment: Deployment, dba: User, devops_lead: User, qa_lead: User, signed_in: SignedIn, lost: str
) -> None:
    client = signed_in(dba)
    assert 'name="password"' in client.get(_page(deployment)).content.decode()
    shown = records.digest(gate_of(deployment).record())
    if lost == "the role":
        deployment.edit(MACHINE, team=[(devops_lead, Role.DBA), (qa_lead, Role.QA_LEAD)])
        told = (403, "You are not this deployment's Database Administrator.")
    elif lost == "the permission":
        dba.revoke(Permission.APPROVER, by=MACHINE)
        told = (403, "This needs the permission “Approver”")
    else:
        dba.disable(by=MACHINE)
        told = (302, "")
    status, page = _post(client, deployment, dba, Role.DBA, digest=shown)
    assert (status, told[1] in page) == (told[0], True)
    assert not Signature.objects.exists()


def test_other_deployments_places_and_signatures_are_reached_by_nobodys_numbers(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    other = factories.plan(
        factories.a_target("other"), deployment.template_version, [(dba, Role.DBA)], title="Another one"
    )
    client = signed_in(dba)
    given = {"slot": slot_of(other, Role.DBA).pk}
    for name in ("signoff:signatures", "signoff:delegations"):
        assert client.post(reverse(name, args=[deployment.pk]), given).status_code == 404
    for name in ("signoff:signature_withdrawal", "signoff:delegation_withdrawal"):
        assert client.post(reverse(name, args=[10**9]), {"reason": "No."}).status_code == 404


def test_a_place_for_two_shows_two_lines(
    dba: User, devops_lead: User, qa_lead: User, cto: User, signed_in: SignedIn
) -> None:
    team = [(cto, Role.DBA), *factories.team_of(dba, devops_lead, qa_lead)]
    deployment = plan_by_rules(team, quorum=2)
    sign(deployment, dba, Role.DBA)
    page = html.unescape(signed_in(cto).get(_page(deployment)).content.decode())
    assert "1 of 3 signed" in page
    assert page.count('<strong>Database Administrator <span class="muted">(2 people)</span></strong>') == 2
    assert "Sign as Database Administrator" in page
