"""The pages that create a deployment and edit its plan."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from django.utils import timezone

from checklists.models import Deployment, Template, TemplateVersion
from deployctl.accounts.models import User
from deployctl.audit import Machine
from deployctl.runs.models import Target, TargetRole
from tests.checklists.factories import in_hours


def form_data(
    target: Target, version: TemplateVersion, team: Sequence[tuple[User | None, str]], **changes: Any
) -> dict[str, str]:
    """The form data that a browser would send."""
    start, end = timezone.localtime(in_hours(24)), timezone.localtime(in_hours(26))
    data = {
        "target": target.name,
        "template_version": str(version.pk),
        "title": "Shop goes live",
        "window_start": f"{start:%Y-%m-%dT%H:%M}",
        "window_end": f"{end:%Y-%m-%dT%H:%M}",
        "rollback_plan": "Restore.",
        "notes": "",
        "team-TOTAL_FORMS": str(len(team)),
        "team-INITIAL_FORMS": "0",
    }
    for number, (user, role) in enumerate(team):
        data |= {f"team-{number}-role": role, f"team-{number}-user": str(user.pk) if user else ""}
    return data | changes


def test_the_form_suggests_the_team_and_a_window(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    TargetRole.objects.create(target=target, user=dba, role="dba")
    page = signed_in(dba).get(f"/deployments/new?target={target.name}").content.decode()
    assert "shop to production" in page
    assert f'<option value="{dba.pk}" selected>Dana Baker · dana.baker@example.org</option>' in page
    assert "T20:00" in page
    assert "In your time zone, UTC." in page


def test_the_default_rollback_plan_comes_from_the_template(target: Target, dba: User, signed_in: Any) -> None:
    Template.ensure_builtin()
    page = signed_in(dba).get("/deployments/new").content.decode()
    assert "Stop deployment immediately" in page


def test_loading_another_team_keeps_the_entered_values(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    query = {"target": target.name, "title": "Mine", "rollback_plan": "My plan."}
    page = signed_in(dba).get("/deployments/new", query).content.decode()
    assert 'value="Mine"' in page
    assert "My plan." in page


def test_submitting_the_form_creates_a_deployment(
    target: Target, version: TemplateVersion, dba: User, qa_lead: User, signed_in: Any
) -> None:
    data = form_data(target, version, [(dba, "dba"), (qa_lead, "qa_lead"), (None, "cto"), (None, "")])
    response = signed_in(dba).post("/deployments/new", data)
    deployment = Deployment.objects.get()
    assert (response.status_code, response["Location"]) == (303, deployment.get_absolute_url())
    assert [(member.user, member.role) for member in deployment.team.all()] == [
        (dba, "dba"),
        (qa_lead, "qa_lead"),
    ]
    assert deployment.created_by == dba


def test_times_are_in_the_viewers_time_zone(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    User.objects.filter(pk=dba.pk).update(timezone="Asia/Kolkata")
    data = form_data(
        target, version, [(dba, "dba")], window_start="2031-01-31T22:00", window_end="2031-01-31T23:30"
    )
    browser = signed_in(dba)
    browser.post("/deployments/new", data)
    deployment = Deployment.objects.get()
    assert deployment.window_start.isoformat() == "2031-01-31T16:30:00+00:00"
    assert 'value="2031-01-31T22:00"' in browser.get(f"{deployment.get_absolute_url()}plan").content.decode()


def test_a_time_skipped_by_daylight_saving_is_rejected(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    User.objects.filter(pk=dba.pk).update(timezone="Europe/Berlin")
    data = form_data(
        target, version, [(dba, "dba")], window_start="2031-03-30T02:30", window_end="2031-03-30T05:00"
    )
    response = signed_in(dba).post("/deployments/new", data)
    assert response.status_code == 422
    assert not Deployment.objects.exists()


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_first_and_last_day_of_the_calendar_are_rejected(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any, zone: str, day: str
) -> None:
    User.objects.filter(pk=dba.pk).update(timezone=zone)
    window = {"window_start": f"{day}T00:00", "window_end": f"{day}T23:59"}
    response = signed_in(dba).post("/deployments/new", form_data(target, version, [(dba, "dba")], **window))
    assert response.status_code == 422
    assert "plausible" in response.content.decode()


def test_errors_are_shown_at_their_fields_and_input_is_kept(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    data = form_data(target, version, [(dba, "")], title="", rollback_plan="Keep me.")
    response = signed_in(dba).post("/deployments/new", data)
    page = response.content.decode()
    assert response.status_code == 422
    assert "Keep me." in page
    assert "field--invalid" in page


def test_a_row_with_a_person_needs_a_role(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    response = signed_in(dba).post("/deployments/new", form_data(target, version, [(dba, "")]))
    assert response.status_code == 422
    assert "Choose a role for this person." in response.content.decode()


def test_overlapping_windows_are_rejected_with_a_conflict(
    deployment: Deployment, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    response = signed_in(dba).post("/deployments/new", form_data(deployment.target, version, [(dba, "dba")]))
    assert response.status_code == 409
    assert "overlaps with that of “Shop goes live” on shop" in response.content.decode()


def test_forged_form_data_is_rejected(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    browser = signed_in(dba)
    for forged in (
        {"team-0-user": "999999"},
        {"team-0-role": "boss"},
        {"team-TOTAL_FORMS": "100000"},
        {"team-TOTAL_FORMS": ""},
        {"target": "nowhere"},
        {"template_version": "0"},
    ):
        response = browser.post("/deployments/new", form_data(target, version, [(dba, "dba")]) | forged)
        assert response.status_code == 422, forged
    assert not Deployment.objects.exists()


def test_only_published_versions_are_offered(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    draft = Template.import_source(
        slug="small", name="Small", source="# New\n\n- [ ] x\n", by=Machine("test")
    )
    page = signed_in(dba).get("/deployments/new").content.decode()
    assert f'<option value="{version.pk}" selected>Small v1</option>' in page
    assert str(draft) not in page


def test_without_a_target_the_page_says_what_is_missing(db: None, dba: User, signed_in: Any) -> None:
    assert (
        "A deployment needs a target, and none exists yet."
        in signed_in(dba).get("/deployments/new").content.decode()
    )


def test_only_operators_can_create_deployments(db: None, cto: User, signed_in: Any) -> None:
    assert signed_in(cto).get("/deployments/new").status_code == 403


# --- Editing ------------------------------------------------------------------------------------------


def test_saving_an_unchanged_form_changes_nothing(deployment: Deployment, dba: User, signed_in: Any) -> None:
    browser, url = signed_in(dba), f"{deployment.get_absolute_url()}plan"
    members = [(member.user, member.role) for member in deployment.team.all()]
    start, end = deployment.window_start, deployment.window_end
    unchanged = form_data(
        deployment.target,
        deployment.template_version,
        members,
        window_start=f"{start:%Y-%m-%dT%H:%M}",
        window_end=f"{end:%Y-%m-%dT%H:%M}",
        rollback_plan="Restore the backup.",
    )
    response = browser.post(url, unchanged, follow=True)
    assert "Nothing was changed." in response.content.decode()
    deployment.refresh_from_db()
    assert (deployment.window_start, deployment.window_end) == (start, end)


def test_saving_shows_what_changed(deployment: Deployment, dba: User, signed_in: Any) -> None:
    members = [(member.user, member.role) for member in deployment.team.all()][:2]
    data = form_data(deployment.target, deployment.template_version, members, title="Renamed")
    response = signed_in(dba).post(f"{deployment.get_absolute_url()}plan", data, follow=True)
    page = response.content.decode()
    assert "title changed from “Shop goes live” to “Renamed”" in page
    assert "Quinn Adler (QA Lead) removed" in page


def test_submitting_a_plan_needs_permission_to_lead(
    deployment: Deployment, qa_lead: User, signed_in: Any
) -> None:
    data = form_data(deployment.target, deployment.template_version, [(qa_lead, "dba")])
    response = signed_in(qa_lead).post(f"{deployment.get_absolute_url()}plan", data)
    assert response.status_code == 403
    assert (
        "DevOps Lead and CTO/Tech Lead, operators and administrators may do this" in response.content.decode()
    )


def plan_digest_in(page: str) -> str:
    """The digest of the plan that the form shows."""
    found = re.search(r'name="plan_digest" value="([0-9a-f]{64})"', page)
    assert found
    return found[1]


def test_a_plan_changed_by_somebody_else_is_not_overwritten(
    deployment: Deployment, dba: User, devops_lead: User, signed_in: Any
) -> None:
    browser, url = signed_in(devops_lead), f"{deployment.get_absolute_url()}plan"
    members = [(member.user, member.role) for member in deployment.team.all()]
    data = form_data(deployment.target, deployment.template_version, members, rollback_plan="My plan.")
    data["plan_digest"] = plan_digest_in(browser.get(url).content.decode())
    deployment.edit(dba, rollback_plan="A better plan.")

    response = browser.post(url, data)
    page = response.content.decode()
    assert response.status_code == 409
    assert "Somebody else changed the plan" in page
    assert "My plan." in page
    deployment.refresh_from_db()
    assert deployment.rollback_plan == "A better plan."

    assert browser.post(url, data | {"plan_digest": plan_digest_in(page)}).status_code == 303
    deployment.refresh_from_db()
    assert deployment.rollback_plan == "My plan."


def test_a_disabled_person_stays_in_the_team_until_removed(
    deployment: Deployment, dba: User, qa_lead: User, administrator: User, signed_in: Any
) -> None:
    qa_lead.disable(by=administrator)
    browser, url = signed_in(dba), f"{deployment.get_absolute_url()}plan"
    page = browser.get(url).content.decode()
    assert f'value="{qa_lead.pk}" selected>Quinn Adler · {qa_lead.email} (disabled)' in page
    members = [(member.user, member.role) for member in deployment.team.all()]
    data = form_data(deployment.target, deployment.template_version, members, title="Renamed")
    assert browser.post(url, data).status_code == 303
    assert deployment.team.filter(user=qa_lead).exists()
    without = form_data(deployment.target, deployment.template_version, members[:2], title="Renamed")
    browser.post(url, without)
    assert not deployment.team.filter(user=qa_lead).exists()


def test_the_edit_form_needs_permission_to_lead(
    deployment: Deployment, qa_lead: User, signed_in: Any
) -> None:
    assert signed_in(qa_lead).get(f"{deployment.get_absolute_url()}plan").status_code == 403
