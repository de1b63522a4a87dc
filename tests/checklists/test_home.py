"""The home page: tasks, active runs, next deployments and setup steps."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from checklists import hooks
from checklists.models import Deployment, Item
from checklists.readiness import PendingAction
from deployctl.accounts.models import User
from deployctl.runs.models import Run, RunState
from tests.checklists.factories import a_target, item, plan


def home(browser: Any) -> str:
    response = browser.get("/")
    assert response.status_code == 200
    return str(response.content.decode())


def test_items_of_a_role_are_sorted_by_due_time(deployment: Deployment, qa_lead: User) -> None:
    Deployment.objects.filter(pk=deployment.pk).update(state="verifying")
    tasks = [str(checklist_item) for checklist_item in Item.objects.outstanding_for(qa_lead)]
    assert tasks == ["Looked at the log", "Users can sign in"]


def test_only_items_of_the_current_stage_are_tasks(
    deployment: Deployment, qa_lead: User, outsider: User
) -> None:
    assert [str(checklist_item) for checklist_item in Item.objects.outstanding_for(qa_lead)] == [
        "Anybody checks this"
    ]
    assert not Item.objects.outstanding_for(outsider).exists()
    deployment.cancel(deployment.team.all()[0].user, "Later.")
    assert not Item.objects.outstanding_for(qa_lead).exists()


def test_the_page_shows_tasks_runs_and_next_deployments(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    run = item(deployment, "Connection").start(dba)
    page = home(signed_in(dba))
    assert "Server is there" in page
    assert f"/runs/{run.pk}/" in page
    assert "NO-GO" in page
    assert f"{deployment.get_absolute_url()}#item-{item(deployment, 'Server').pk}" in page
    assert 'data-live-channels="home"' in page


def test_only_operators_are_asked_to_decide_lost_runs(
    deployment: Deployment, dba: User, qa_lead: User, signed_in: Any
) -> None:
    run = item(deployment, "Connection").start(dba)
    Run.objects.filter(pk=run.pk).update(state=RunState.UNKNOWN)
    assert f"Decide the outcome of run {run.pk}" in home(signed_in(dba))
    assert "Decide the outcome" not in home(signed_in(qa_lead))


def test_other_packages_add_pending_actions(dba: User, signed_in: Any) -> None:
    with hooks.pending_actions.connected(lambda _user: [PendingAction("Sign here.", "/deployments/")]):
        assert "Sign here." in home(signed_in(dba))


def test_a_new_installation_shows_the_setup_steps(db: None, viewer: User, dba: User, signed_in: Any) -> None:
    page = home(signed_in(viewer))
    assert "Set up your first deployment" in page
    assert "An operator must do this." in page
    assert "/deployments/new" not in page
    assert "/deployments/new" in home(signed_in(dba))


def test_an_empty_task_list_says_what_will_appear(
    deployment: Deployment, viewer: User, signed_in: Any
) -> None:
    assert "Nothing needs your attention." in home(signed_in(viewer))


@pytest.mark.parametrize("name", ["tasks", "runs", "next"])
def test_each_section_is_a_live_fragment(
    deployment: Deployment, dba: User, signed_in: Any, name: str
) -> None:
    response = signed_in(dba).get(f"/home/{name}", headers={"HX-Request": "true"})
    assert f'id="home-{name}"' in response.content.decode()
    assert "<html" not in response.content.decode()
    assert signed_in(dba).get("/home/nonsense").status_code == 404


def test_more_deployments_need_no_more_queries(deployment: Deployment, dba: User, signed_in: Any) -> None:
    browser = signed_in(dba)
    home(browser)  # fills the caches of the process
    with CaptureQueriesContext(connection) as for_one:
        home(browser)
    for name in ("two", "three", "four"):
        plan(a_target(name), deployment.template_version, [(dba, "dba")], title=f"Deployment {name}")
    with CaptureQueriesContext(connection) as for_four:
        page = home(browser)

    assert "Deployment three" in page
    queries = [query["sql"][:200] for query in for_four.captured_queries]
    assert any("signoff_" in query for query in queries), "no query about signatures"
    assert len(queries) == len(for_one), "\n".join(queries)
    assert len(queries) <= 34, "\n".join(queries)
