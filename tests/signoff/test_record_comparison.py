"""The page that compares two records of a deployment."""

from __future__ import annotations

import html
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from checklists.models import Deployment
from deployctl.accounts.models import User
from deployctl.accounts.roles import Role
from signoff import diff
from signoff.models import Signature
from tests.checklists import factories
from tests.signoff.signing import MACHINE, gate_of, sign

SignedIn = Callable[..., Client]


@pytest.fixture
def changed(deployment: Deployment, dba: User) -> Signature:
    """A signature that is stale because the plan and an item changed."""
    sign(deployment, dba, Role.DBA)
    deployment.edit(MACHINE, rollback_plan="Another plan.")
    factories.item(deployment, "Server").undo(dba)
    return Signature.objects.get()


def _page(client: Client, deployment: Deployment, **query: str) -> str:
    response = client.get(reverse("signoff:records", args=[deployment.pk]), query)
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def test_a_stale_signature_links_to_its_changes(
    deployment: Deployment, changed: Signature, viewer: User, signed_in: SignedIn
) -> None:
    client = signed_in(viewer)
    gate = html.unescape(client.get(reverse("signoff:gate", args=[deployment.pk, "pre"])).content.decode())
    assert f'href="{reverse("signoff:records", args=[deployment.pk])}?before={changed.pk}"' in gate
    page = _page(client, deployment, before=str(changed.pk))
    for text in ("Rollback plan", "Restore the backup.", "Another plan.", "Item “Server is there”, state"):
        assert text in page
    assert changed.record_digest in page


def test_any_two_signatures_can_be_compared(
    deployment: Deployment, changed: Signature, dba: User, signed_in: SignedIn
) -> None:
    factories.item(deployment, "Server").complete(dba)
    again = sign(deployment, dba, Role.DBA)
    page = _page(signed_in(dba), deployment, before=str(changed.pk), after=str(again.pk))
    assert f'value="{again.pk}" selected' in page
    assert "Item “Server is there”, completion" in page
    assert "The two records are identical." in _page(
        signed_in(dba), deployment, before=str(again.pk), after="now-pre"
    )


def test_a_signature_of_another_deployment_is_not_shown(
    deployment: Deployment, changed: Signature, dba: User, signed_in: SignedIn
) -> None:
    other = factories.plan(
        factories.a_target("other"), deployment.template_version, [(dba, Role.DBA)], title="Another one"
    )
    page = _page(signed_in(dba), other, before=str(changed.pk), after="9" * 400)
    assert "Restore the backup." not in page
    assert "Current record: Approval" in page


def test_differences_read_as_sentences(deployment: Deployment, dba: User, devops_lead: User) -> None:
    before = gate_of(deployment).record()
    deployment.edit(MACHINE, team=[(dba, Role.DBA), (devops_lead, Role.CTO)], title="Other")
    found = {change.sentence for change in diff.between(before, gate_of(deployment).record())}
    assert found == {
        "Deployment, title: was Shop goes live, is now Other.",
        f"Team, {devops_lead.name} as CTO/Tech Lead: added.",
        f"Team, {devops_lead.name} as DevOps Lead: removed.",
        "Team, Quinn Adler as QA Lead: removed.",
    }
