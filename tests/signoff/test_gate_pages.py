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
from tests.signoff.signing import MACHINE, gate_of, plan_with_gate_rules, sign, slot_of

SignedIn = Callable[..., Client]


def _page(deployment: Deployment, key: str = "pre") -> str:
    return reverse("signoff:gate", args=[deployment.pk, key])


def _post(client: Client, deployment: Deployment, user: User, role: str, **changes: str) -> tuple[int, str]:
    form = {
        "slot": str(slot_of(deployment, role).pk),
        "digest": records.digest(gate_of(deployment).record()),
        "meaning": "on",
        "password": PASSWORD,
        "code": changes.get("code") or current_code(user),
    }
    response = client.post(reverse("signoff:signatures", args=[deployment.pk]), form | changes)
    return response.status_code, html.unescape(response.content.decode())


def test_the_page_shows_the_record_and_its_digest(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    page = signed_in(dba).get(_page(deployment)).content.decode()
    assert records.digest(gate_of(deployment).record()) in page
    assert "Restore the backup." in page
    assert "I approve this deployment for production." in page


def test_signing_redirects_to_the_deployment(deployment: Deployment, dba: User, signed_in: SignedIn) -> None:
    status, _ = _post(signed_in(dba), deployment, dba, Role.DBA)
    assert status in {302, 303}
    assert Signature.objects.get().signer == dba


def test_signing_requires_confirming_the_meaning(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    status, page = _post(signed_in(dba), deployment, dba, Role.DBA, meaning="")
    assert status == 422
    assert "Confirm the meaning of your signature" in page
    assert not Signature.objects.exists()


def test_a_wrong_code_is_reported_without_repeating_the_password(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    client = signed_in(dba)
    status, page = _post(client, deployment, dba, Role.DBA, code=wrong_code(dba))
    assert status == 422
    assert "code is wrong" in page
    assert PASSWORD not in page


def test_after_an_error_the_browser_scrolls_to_the_message(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    client = signed_in(dba)
    _, page = _post(client, deployment, dba, Role.DBA, code=wrong_code(dba))
    assert page.index('id="signing"') < page.index("code is wrong")
    assert f'action="{reverse("signoff:signatures", args=[deployment.pk])}#signing"' in page


def test_a_record_that_changed_meanwhile_is_shown_again(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    shown = records.digest(gate_of(deployment).record())
    deployment.edit(MACHINE, rollback_plan="Another plan.")
    status, page = _post(signed_in(dba), deployment, dba, Role.DBA, digest=shown)
    assert status == 409
    assert "record changed" in page
    assert f'value="{records.digest(gate_of(deployment).record())}"' in page


def test_a_person_who_cannot_sign_sees_the_reason(
    deployment: Deployment, app_lead: User, signed_in: SignedIn
) -> None:
    page = html.unescape(signed_in(app_lead).get(_page(deployment)).content.decode())
    assert "You are not this deployment's Database Administrator." in page
    assert 'name="password"' not in page


def test_another_persons_slot_cannot_be_signed_by_its_id(
    deployment: Deployment, cto: User, signed_in: SignedIn
) -> None:
    status, page = _post(signed_in(cto), deployment, cto, Role.DBA)
    assert status == 403
    assert "You are not this deployment's Database Administrator." in page


def test_a_slot_of_another_deployment_is_not_found(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    other = reverse("signoff:signatures", args=[deployment.pk + 1])
    assert signed_in(dba).post(other, {"slot": slot_of(deployment, Role.DBA).pk}).status_code == 404


def test_a_viewer_can_read_but_not_sign(deployment: Deployment, viewer: User, signed_in: SignedIn) -> None:
    client = signed_in(viewer)
    assert client.get(_page(deployment)).status_code == 200
    assert _post(client, deployment, viewer, Role.DBA)[0] == 403


def test_blockers_are_listed_with_links(deployment: Deployment, dba: User, signed_in: SignedIn) -> None:
    item = factories.item(deployment, "Server is there")
    item.undo(MACHINE)
    page = signed_in(dba).get(_page(deployment)).content.decode()
    assert f"#item-{item.pk}" in page


def test_changes_since_the_last_signature_are_shown(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    sign(deployment, dba, Role.DBA)
    deployment.edit(MACHINE, rollback_plan="Another plan.")
    page = signed_in(dba).get(_page(deployment)).content.decode()
    assert "Changes since the last signature" in page
    assert "Another plan." in page


def test_a_signed_gate_shows_the_signed_record(
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


def test_an_invalid_slot_id_is_not_found(deployment: Deployment, dba: User, signed_in: SignedIn) -> None:
    address = reverse("signoff:signatures", args=[deployment.pk])
    for invalid in ("", "x", "-1", "9" * 5000):
        assert signed_in(dba).post(address, {"slot": invalid}).status_code == 404, invalid


def test_the_second_signer_of_a_full_slot_sees_who_signed(
    deployment: Deployment, dba: User, devops_lead: User, cto: User, signed_in: SignedIn
) -> None:
    team = [(seat.user, seat.role) for seat in deployment.team.all()]
    deployment.edit(MACHINE, team=[*team, (cto, Role.DBA)])
    sign(deployment, dba, Role.DBA)
    status, page = _post(signed_in(cto), deployment, cto, Role.DBA)
    assert (status, f"{dba.name} has already signed" in page) == (403, True)
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    status, page = _post(signed_in(cto), deployment, cto, Role.DBA)
    assert (status, "This gate can be signed while" in page) == (403, True)


def test_a_blocker_that_appeared_meanwhile_is_reported(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    factories.item(deployment, "Server is there").undo(MACHINE)
    status, page = _post(signed_in(dba), deployment, dba, Role.DBA)
    assert (status, "Nothing was signed, because this gate has 1 blocker." in page) == (409, True)


def test_a_slot_with_a_stale_signature_can_be_signed_again(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    sign(deployment, dba, Role.DBA)
    client = signed_in(dba)
    assert "Sign as Database Administrator" not in client.get(_page(deployment)).content.decode()
    deployment.edit(MACHINE, rollback_plan="Another plan.")
    assert "Sign as Database Administrator" in client.get(_page(deployment)).content.decode()


def test_the_number_of_queries_does_not_grow_with_the_team(
    deployment: Deployment, dba: User, devops_lead: User, cto: User, app_lead: User, signed_in: SignedIn
) -> None:
    client, address = signed_in(dba), reverse("signoff:fragment", args=[gate_of(deployment).pk])

    def count_queries(url: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        return len(queries)

    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    before = [count_queries(address), count_queries(_page(deployment)), count_queries("/")]
    team = [(seat.user, seat.role) for seat in deployment.team.all()]
    deployment.edit(MACHINE, team=[*team, (cto, Role.CTO), (app_lead, Role.APP_TEAM_LEAD)])
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    # The page now also shows what changed since the first signature.
    after = [count_queries(address), count_queries(_page(deployment)) - 1, count_queries("/")]
    assert all(new <= old for new, old in zip(after, before, strict=True)), (before, after)


def test_the_page_warns_before_a_change_after_one_signature(
    deployment: Deployment, dba: User, devops_lead: User, signed_in: SignedIn
) -> None:
    item = factories.item(deployment, "Server")
    page = signed_in(devops_lead).get(f"{item.get_absolute_url()}?open").content.decode()
    assert "This is signed." not in page
    sign(deployment, dba, Role.DBA)
    page = signed_in(devops_lead).get(f"{item.get_absolute_url()}?open").content.decode()
    assert "This item is signed. If you change it, its signatures become stale" in page
    assert (
        f'aria-label="Show details: {item}"' in page
    )  # its box opens the item instead of undoing it at once
    item.undo(devops_lead)
    page = signed_in(devops_lead).get(f"{item.get_absolute_url()}?open").content.decode()
    assert "This is signed." not in page


@pytest.mark.parametrize("lost", ["the role", "the permission", "the account"])
def test_permissions_are_checked_again_when_the_form_is_sent(
    deployment: Deployment, dba: User, devops_lead: User, qa_lead: User, signed_in: SignedIn, lost: str
) -> None:
    client = signed_in(dba)
    assert 'name="password"' in client.get(_page(deployment)).content.decode()
    shown = records.digest(gate_of(deployment).record())
    if lost == "the role":
        deployment.edit(MACHINE, team=[(devops_lead, Role.DBA), (qa_lead, Role.QA_LEAD)])
        expected = (403, "You are not this deployment's Database Administrator.")
    elif lost == "the permission":
        dba.revoke(Permission.APPROVER, by=MACHINE)
        expected = (403, "This needs the permission “Approver”")
    else:
        dba.disable(by=MACHINE)
        expected = (302, "")
    status, page = _post(client, deployment, dba, Role.DBA, digest=shown)
    assert (status, expected[1] in page) == (expected[0], True)
    assert not Signature.objects.exists()


def test_rows_of_other_deployments_are_not_reachable_by_id(
    deployment: Deployment, dba: User, signed_in: SignedIn
) -> None:
    other = factories.plan(
        factories.a_target("other"), deployment.template_version, [(dba, Role.DBA)], title="Another one"
    )
    client = signed_in(dba)
    form_data = {"slot": slot_of(other, Role.DBA).pk}
    for name in ("signoff:signatures", "signoff:delegations"):
        assert client.post(reverse(name, args=[deployment.pk]), form_data).status_code == 404
    for name in ("signoff:signature_revocation", "signoff:delegation_revocation"):
        assert client.post(reverse(name, args=[10**9]), {"reason": "No."}).status_code == 404


def test_a_slot_for_two_people_shows_two_lines(
    dba: User, devops_lead: User, qa_lead: User, cto: User, signed_in: SignedIn
) -> None:
    team = [(cto, Role.DBA), *factories.team_of(dba, devops_lead, qa_lead)]
    deployment = plan_with_gate_rules(team, quorum=2)
    sign(deployment, dba, Role.DBA)
    page = html.unescape(signed_in(cto).get(_page(deployment)).content.decode())
    assert "1 of 3 signed" in page
    assert page.count('<strong>Database Administrator <span class="muted">(2 people)</span></strong>') == 2
    assert "Sign as Database Administrator" in page
