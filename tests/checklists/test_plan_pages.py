"""The forms that plan a deployment and change the plan."""

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


def filled(
    target: Target, version: TemplateVersion, team: Sequence[tuple[User | None, str]], **changes: Any
) -> dict[str, str]:
    """What a browser would send."""
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


def test_the_form_suggests_the_targets_people_and_a_window(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    TargetRole.objects.create(target=target, user=dba, role="dba")
    page = signed_in(dba).get(f"/deployments/new?target={target.name}").content.decode()
    assert "shop to production" in page
    assert f'<option value="{dba.pk}" selected>Dana Baker · dana.baker@example.org</option>' in page
    assert "T20:00" in page
    assert "In your time zone, UTC." in page


def test_the_template_says_how_to_roll_back(target: Target, dba: User, signed_in: Any) -> None:
    Template.ensure_builtin()
    page = signed_in(dba).get("/deployments/new").content.decode()
    assert "Stop deployment immediately" in page


def test_what_was_filled_in_stays_when_other_people_are_asked_for(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    query = {"target": target.name, "title": "Mine", "rollback_plan": "My plan."}
    page = signed_in(dba).get("/deployments/new", query).content.decode()
    assert 'value="Mine"' in page
    assert "My plan." in page


def test_a_plan_becomes_a_deployment(
    target: Target, version: TemplateVersion, dba: User, qa_lead: User, signed_in: Any
) -> None:
    data = filled(target, version, [(dba, "dba"), (qa_lead, "qa_lead"), (None, "cto"), (None, "")])
    answer = signed_in(dba).post("/deployments/new", data)
    made = Deployment.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, made.get_absolute_url())
    assert [(seat.user, seat.role) for seat in made.team.all()] == [(dba, "dba"), (qa_lead, "qa_lead")]
    assert made.created_by == dba


def test_times_are_read_in_the_viewers_zone(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    User.objects.filter(pk=dba.pk).update(timezone="Asia/Kolkata")
    data = filled(
        target, version, [(dba, "dba")], window_start="2031-01-31T22:00", window_end="2031-01-31T23:30"
    )
    browser = signed_in(dba)
    browser.post("/deployments/new", data)
    made = Deployment.objects.get()
    assert made.window_start.isoformat() == "2031-01-31T16:30:00+00:00"
    assert 'value="2031-01-31T22:00"' in browser.get(f"{made.get_absolute_url()}plan").content.decode()


def test_an_hour_that_does_not_exist_is_asked_for_again(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    User.objects.filter(pk=dba.pk).update(timezone="Europe/Berlin")
    data = filled(
        target, version, [(dba, "dba")], window_start="2031-03-30T02:30", window_end="2031-03-30T05:00"
    )
    answer = signed_in(dba).post("/deployments/new", data)
    assert answer.status_code == 422
    assert not Deployment.objects.exists()


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_ends_of_the_calendar_are_no_defect(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any, zone: str, day: str
) -> None:
    User.objects.filter(pk=dba.pk).update(timezone=zone)
    window = {"window_start": f"{day}T00:00", "window_end": f"{day}T23:59"}
    answer = signed_in(dba).post("/deployments/new", filled(target, version, [(dba, "dba")], **window))
    assert answer.status_code == 422
    assert "plausible" in answer.content.decode()


def test_errors_stand_beside_their_fields_and_nothing_typed_is_lost(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    data = filled(target, version, [(dba, "")], title="", rollback_plan="Keep me.")
    answer = signed_in(dba).post("/deployments/new", data)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Keep me." in page
    assert "field--invalid" in page


def test_a_row_with_a_person_needs_a_role(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    answer = signed_in(dba).post("/deployments/new", filled(target, version, [(dba, "")]))
    assert answer.status_code == 422
    assert "Say what this person does." in answer.content.decode()


def test_an_overlap_is_a_conflict_on_the_form(
    deployment: Deployment, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    answer = signed_in(dba).post("/deployments/new", filled(deployment.target, version, [(dba, "dba")]))
    assert answer.status_code == 409
    assert "overlaps with that of “Shop goes live” on shop" in answer.content.decode()


def test_forged_rows_are_refused(target: Target, version: TemplateVersion, dba: User, signed_in: Any) -> None:
    browser = signed_in(dba)
    for forged in (
        {"team-0-user": "999999"},
        {"team-0-role": "boss"},
        {"team-TOTAL_FORMS": "100000"},
        {"team-TOTAL_FORMS": ""},
        {"target": "nowhere"},
        {"template_version": "0"},
    ):
        answer = browser.post("/deployments/new", filled(target, version, [(dba, "dba")]) | forged)
        assert answer.status_code == 422, forged
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


def test_without_targets_or_templates_the_page_says_what_comes_first(
    db: None, dba: User, signed_in: Any
) -> None:
    assert "There is no target yet." in signed_in(dba).get("/deployments/new").content.decode()


def test_planning_is_for_operators(db: None, cto: User, signed_in: Any) -> None:
    assert signed_in(cto).get("/deployments/new").status_code == 403


# --- Editing ------------------------------------------------------------------------------------------


def test_saving_an_untouched_form_changes_nothing(deployment: Deployment, dba: User, signed_in: Any) -> None:
    browser, address = signed_in(dba), f"{deployment.get_absolute_url()}plan"
    seats = [(seat.user, seat.role) for seat in deployment.team.all()]
    start, end = deployment.window_start, deployment.window_end
    untouched = filled(
        deployment.target,
        deployment.template_version,
        seats,
        window_start=f"{start:%Y-%m-%dT%H:%M}",
        window_end=f"{end:%Y-%m-%dT%H:%M}",
        rollback_plan="Restore the backup.",
    )
    answer = browser.post(address, untouched, follow=True)
    assert "Nothing was changed." in answer.content.decode()
    deployment.refresh_from_db()
    assert (deployment.window_start, deployment.window_end) == (start, end)


def test_editing_says_what_changed(deployment: Deployment, dba: User, signed_in: Any) -> None:
    seats = [(seat.user, seat.role) for seat in deployment.team.all()][:2]
    data = filled(deployment.target, deployment.template_version, seats, title="Renamed")
    answer = signed_in(dba).post(f"{deployment.get_absolute_url()}plan", data, follow=True)
    page = answer.content.decode()
    assert "title changed from “Shop goes live” to “Renamed”" in page
    assert "Quinn Adler (QA Lead) removed" in page


def test_somebody_who_does_not_lead_is_refused(deployment: Deployment, qa_lead: User, signed_in: Any) -> None:
    data = filled(deployment.target, deployment.template_version, [(qa_lead, "dba")])
    answer = signed_in(qa_lead).post(f"{deployment.get_absolute_url()}plan", data)
    assert answer.status_code == 403
    assert (
        "DevOps Lead and CTO/Tech Lead, operators and administrators may do this" in answer.content.decode()
    )


def seen_in(page: str) -> str:
    """What the form says it was made from."""
    found = re.search(r'name="seen" value="([0-9a-f]{64})"', page)
    assert found
    return found[1]


def test_nobody_overwrites_a_plan_that_they_did_not_see(
    deployment: Deployment, dba: User, devops_lead: User, signed_in: Any
) -> None:
    browser, address = signed_in(devops_lead), f"{deployment.get_absolute_url()}plan"
    seats = [(seat.user, seat.role) for seat in deployment.team.all()]
    mine = filled(deployment.target, deployment.template_version, seats, rollback_plan="My plan.")
    mine["seen"] = seen_in(browser.get(address).content.decode())
    deployment.edit(dba, rollback_plan="A better plan.")

    refused = browser.post(address, mine)
    page = refused.content.decode()
    assert refused.status_code == 409
    assert "Somebody else changed the plan" in page
    assert "My plan." in page
    deployment.refresh_from_db()
    assert deployment.rollback_plan == "A better plan."

    assert browser.post(address, mine | {"seen": seen_in(page)}).status_code == 303
    deployment.refresh_from_db()
    assert deployment.rollback_plan == "My plan."


def test_a_disabled_person_stays_in_the_team_until_somebody_takes_them_out(
    deployment: Deployment, dba: User, qa_lead: User, administrator: User, signed_in: Any
) -> None:
    qa_lead.disable(by=administrator)
    browser, address = signed_in(dba), f"{deployment.get_absolute_url()}plan"
    page = browser.get(address).content.decode()
    assert f'value="{qa_lead.pk}" selected>Quinn Adler · {qa_lead.email} (disabled)' in page
    seats = [(seat.user, seat.role) for seat in deployment.team.all()]
    data = filled(deployment.target, deployment.template_version, seats, title="Renamed")
    assert browser.post(address, data).status_code == 303
    assert deployment.team.filter(user=qa_lead).exists()
    without = filled(deployment.target, deployment.template_version, seats[:2], title="Renamed")
    browser.post(address, without)
    assert not deployment.team.filter(user=qa_lead).exists()


def test_who_does_not_lead_gets_no_form(deployment: Deployment, qa_lead: User, signed_in: Any) -> None:
    assert signed_in(qa_lead).get(f"{deployment.get_absolute_url()}plan").status_code == 403
