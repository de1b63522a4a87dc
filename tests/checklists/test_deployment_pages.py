"""The page of a deployment, its fragments and transitions, and the list of deployments."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from checklists import readiness
from checklists.models import Deployment, Item, Template
from checklists.presenters import ItemFilter
from checklists.presenters.timeline import timeline_of
from deployctl.accounts.models import User
from tests.checklists.factories import MACHINE, in_hours, item, plan, team_of

HTMX = {"HX-Request": "true"}


@pytest.fixture
def full_deployment(target: Any, dba: User, devops_lead: User, qa_lead: User) -> Deployment:
    """A deployment with the full production checklist."""
    return plan(target, Template.ensure_builtin(), team_of(dba, devops_lead, qa_lead))


def set_state(deployment: Deployment, state: str) -> None:
    Deployment.objects.filter(pk=deployment.pk).update(state=state)


def test_the_page_of_a_full_checklist_needs_few_queries(
    full_deployment: Deployment, dba: User, signed_in: Any
) -> None:
    browser = signed_in(dba)
    for checklist_item in Item.objects.of_deployment(full_deployment.pk).for_bulk()[:20]:
        checklist_item.complete(dba)
    item(full_deployment, "Database credentials").add_proof(dba, "note", text="In the vault.")
    with CaptureQueriesContext(connection) as captured:
        response = browser.get(full_deployment.get_absolute_url())
    assert response.status_code == 200
    queries = [query["sql"][:150] for query in captured.captured_queries]
    assert len(queries) <= 15, "\n".join(queries)


def test_item_counts_add_up_to_the_full_checklist(
    full_deployment: Deployment, dba: User, signed_in: Any
) -> None:
    page = " ".join(signed_in(dba).get(full_deployment.get_absolute_url()).text.split())
    assert 'All <span class="numeric">140</span>' in page
    assert "<span>0 of 120 required items done</span>" in page
    assert "<span>plus 20 recurring or for reference</span>" in page
    template = signed_in(dba).get(full_deployment.template_version.get_absolute_url()).text
    assert "142</span>, including 2 with sub-items" in template


def test_the_page_shows_state_blockers_checklist_and_plan(
    deployment: Deployment, dba: User, viewer: User, signed_in: Any
) -> None:
    item(deployment, "Server").complete(dba, "Version 16.")
    page = signed_in(viewer).get(deployment.get_absolute_url()).content.decode()
    for text in (
        "Shop goes live",
        "NO-GO",
        "for the first gate",
        "“Anybody checks this” is open; complete or waive it.",
        f'href="{deployment.get_absolute_url()}#item-{item(deployment, "Anybody").pk}"',
        "createdb it",
        "Pool <code>&gt; 80%</code>",
        "1 of 6",
        "Dana Baker",
        "Restore the backup.",
        "completed",
        f'data-live-channels="deployment:{deployment.pk}"',
    ):
        assert text in page, text


@pytest.mark.parametrize("name", ["state", "progress", "timeline"])
def test_each_fragment_has_its_id(deployment: Deployment, viewer: User, signed_in: Any, name: str) -> None:
    response = signed_in(viewer).get(f"{deployment.get_absolute_url()}{name}", headers=HTMX)
    assert f'id="deployment-{deployment.pk}-{name}"' in response.content.decode()
    assert "<html" not in response.content.decode()


def test_every_announced_fragment_is_on_the_page(
    deployment: Deployment, dba: User, signed_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[str] = []

    def announce(channel: str, *fragments: str) -> None:
        if channel == deployment.channel:
            announced.extend(fragments)

    monkeypatch.setattr("checklists.models.deployment.announce", announce)
    item(deployment, "Pool").complete(dba)
    page = signed_in(dba).get(deployment.get_absolute_url()).content.decode()
    assert len(announced) == 7
    for fragment in announced:
        assert f'id="{fragment}"' in page
        assert 'hx-trigger="live"' in page.partition(f'id="{fragment}"')[2][:300]


def test_headings_of_phases_and_sections_are_fragments(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    browser = signed_in(dba)
    section = deployment.checklist.sections.earliest("position")
    assert "0 of 6" in browser.get(f"/sections/{section.pk}/", headers=HTMX).content.decode()
    assert "0 of 6" in browser.get(f"{deployment.get_absolute_url()}phases/0", headers=HTMX).content.decode()
    assert browser.get(f"{deployment.get_absolute_url()}phases/9", headers=HTMX).status_code == 404


@pytest.mark.parametrize(
    ("show", "shown", "hidden"),
    [
        ("mine", "Users can sign in", "Server is there"),
        ("open", "Server is there", "Anybody checks this"),
        ("failing", "Migrations applied", "Server is there"),
        ("late", "Server is there", "Looked at the log"),
    ],
)
def test_filters_select_items(
    deployment: Deployment, qa_lead: User, signed_in: Any, show: str, shown: str, hidden: str
) -> None:
    item(deployment, "Anybody").complete(qa_lead)
    items = Item.objects.of_deployment(deployment.pk)
    items.filter(text__startswith="Migrations").update(state="failed")
    items.filter(text__startswith="Server").update(due_at=in_hours(-30))
    items.filter(text__startswith="Papers").update(due_at=in_hours(-1))
    page = signed_in(qa_lead).get(f"{deployment.get_absolute_url()}?show={show}").content.decode()
    phases = page.partition('class="phase"')[2].partition("<aside")[0]
    assert shown in phases
    assert hidden not in phases


def test_an_unknown_filter_shows_all_items() -> None:
    assert ItemFilter.parse("nonsense") == ItemFilter.ALL
    assert ItemFilter.parse(None) == ItemFilter.ALL


def test_a_filter_without_matches_shows_a_message(deployment: Deployment, dba: User, signed_in: Any) -> None:
    page = signed_in(dba).get(f"{deployment.get_absolute_url()}?show=failing").content.decode()
    assert "No items match this filter." in page


def test_a_late_item_shows_how_late_it_is(deployment: Deployment, dba: User, signed_in: Any) -> None:
    Item.objects.of_deployment(deployment.pk).filter(text__startswith="Server").update(due_at=in_hours(-50))
    assert "2 d 2 h late" in signed_in(dba).get(deployment.get_absolute_url()).content.decode()


def test_an_unknown_deployment_is_not_found(db: None, dba: User, signed_in: Any) -> None:
    browser = signed_in(dba)
    assert browser.get("/deployments/4711/").status_code == 404
    assert browser.post("/deployments/4711/start").status_code == 404


def test_anonymous_users_are_redirected_to_sign_in(deployment: Deployment, client: Any) -> None:
    response = client.get(deployment.get_absolute_url())
    assert response.status_code == 302
    assert "login" in response["Location"]


# --- Transitions --------------------------------------------------------------------------------------


def test_the_page_offers_only_permitted_transitions(
    deployment: Deployment, dba: User, qa_lead: User, viewer: User, signed_in: Any
) -> None:
    set_state(deployment, "approved")
    start, cancel = f"/deployments/{deployment.pk}/start", f"/deployments/{deployment.pk}/cancellation"
    page = signed_in(dba).get(deployment.get_absolute_url()).content.decode()
    assert start in page
    assert cancel in page
    assert "you started outside it" in page
    for other in (qa_lead, viewer):
        assert start not in signed_in(other).get(deployment.get_absolute_url()).content.decode()


def test_a_deployment_goes_through_its_transitions(deployment: Deployment, dba: User, signed_in: Any) -> None:
    browser, url = signed_in(dba), deployment.get_absolute_url()
    set_state(deployment, "approved")
    for path, data, state in (
        ("start", {}, "deploying"),
        ("halt", {"reason": "Smoke."}, "halted"),
        ("halt", {"_method": "DELETE"}, "deploying"),
        ("verification", {}, "verifying"),
        ("halt", {"reason": "Fire."}, "halted"),
        ("rollback", {"reason": "No way on."}, "rolling_back"),
        ("rollback/completion", {"reason": "Counts are as before."}, "rolled_back"),
    ):
        response = browser.post(f"{url}{path}", data)
        assert (response.status_code, response["Location"]) == (303, url)
        deployment.refresh_from_db()
        assert deployment.state == state


def test_a_transition_from_the_wrong_state_is_a_conflict(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    response = signed_in(dba).post(f"{deployment.get_absolute_url()}start")
    assert response.status_code == 409
    assert "is planning, so it can&#x27;t be begun" in response.content.decode()


def test_a_cancellation_needs_a_reason(deployment: Deployment, dba: User, signed_in: Any) -> None:
    response = signed_in(dba).post(f"{deployment.get_absolute_url()}cancellation", {"reason": ""})
    assert response.status_code == 422


def test_a_transition_by_an_outsider_is_forbidden(
    deployment: Deployment, outsider: User, signed_in: Any
) -> None:
    response = signed_in(outsider).post(f"{deployment.get_absolute_url()}cancellation", {"reason": "x"})
    assert response.status_code == 403
    assert "Database Administrator, DevOps Lead" in response.content.decode()


def test_a_transition_needs_the_second_factor(deployment: Deployment, dba: User, signed_in: Any) -> None:
    browser = signed_in(dba, second_factor=False)
    response = browser.post(f"{deployment.get_absolute_url()}cancellation", {"reason": "x"})
    assert response.status_code == 302
    deployment.refresh_from_db()
    assert deployment.state == "planning"


# --- The list -----------------------------------------------------------------------------------------


def test_the_list_shows_active_deployments_with_go_or_no_go(
    deployment: Deployment, dba: User, viewer: User, signed_in: Any
) -> None:
    page = signed_in(viewer).get("/deployments/").content.decode()
    assert "Shop goes live" in page
    assert "NO-GO" in page
    assert "Plan a deployment" not in page
    deployment.cancel(dba, "Later.")
    page = signed_in(dba).get("/deployments/").content.decode()
    assert "Shop goes live" not in page
    assert "Plan one with a target" in page


def test_pages_answer_head_requests(deployment: Deployment, dba: User, signed_in: Any) -> None:
    browser = signed_in(dba)
    for url in ("/", "/deployments/", deployment.get_absolute_url(), "/deployments/new", "/history.csv"):
        response = browser.head(url)
        assert (response.status_code, response.content) == (200, b""), url


def test_the_timeline_reads_as_sentences(deployment: Deployment, dba: User) -> None:
    deployment.edit(dba, title="Renamed", rollback_plan="Another.")
    item(deployment, "Connection").start(dba).cancel(by=dba)
    sentences = [
        f"{entry.actor} {entry.phrase} {entry.subject} {entry.detail}".strip()
        for entry in timeline_of(deployment)
    ]
    assert "Dana Baker changed the plan  rollback plan, title" in sentences
    assert any(sentence.startswith("Dana Baker requested run ") for sentence in sentences)
    assert not [text for text in sentences if ": requested" in text or ": cancelled" in text]


@pytest.mark.parametrize(
    ("find", "shown", "hidden"),
    [
        ("SERVER is", "Server is there", "Anybody checks this"),
        ("pool", "Thresholds", "Server is there"),
        ("server&show=failing", "No items match this filter.", "Server is there"),
    ],
)
def test_the_search_finds_items_by_text(
    deployment: Deployment, dba: User, signed_in: Any, find: str, shown: str, hidden: str
) -> None:
    page = signed_in(dba).get(f"{deployment.get_absolute_url()}?find={find}").content.decode()
    checklist = page.partition('</nav>\n  <div class="progress">')[2].partition("<aside")[0]
    assert shown in checklist
    assert hidden not in checklist


def test_the_search_finds_sections_and_is_kept_by_filters(
    full_deployment: Deployment, dba: User, signed_in: Any
) -> None:
    page = (
        signed_in(dba).get(f"{full_deployment.get_absolute_url()}?find=security+hardening").content.decode()
    )
    assert "Audit logging enabled" in page
    assert "Prisma client generated" not in page.partition("<aside")[0]
    assert "?show=mine&amp;find=security+hardening" in page


def test_a_halted_deployment_shows_who_halted_it_and_why(
    deployment: Deployment, dba: User, viewer: User, signed_in: Any
) -> None:
    set_state(deployment, "deploying")
    Deployment.objects.get(pk=deployment.pk).halt(dba, "Pods crash.")
    page = signed_in(viewer).get(f"{deployment.get_absolute_url()}state", headers=HTMX).content.decode()
    assert "Dana Baker halted the deployment" in page
    assert "“Pods crash.”" in page


def test_an_ended_deployment_shows_no_upcoming_window(
    deployment: Deployment, viewer: User, signed_in: Any
) -> None:
    assert "Window opens" in signed_in(viewer).get(deployment.get_absolute_url()).content.decode()
    set_state(deployment, "closed")
    page = signed_in(viewer).get(deployment.get_absolute_url()).content.decode()
    assert "Window opens" not in page
    assert str(deployment.window) in page


def test_a_reopened_deployment_links_the_owner_of_its_window(
    deployment: Deployment, viewer: User, dba: User, signed_in: Any
) -> None:
    set_state(deployment, "signed_off")
    facts = {"window_start": deployment.window_start, "window_end": deployment.window_end}
    version = deployment.template_version
    other = plan(deployment.target, version, [(dba, "dba")], title="The next one", **facts)
    browser, url, notice = signed_in(viewer), deployment.get_absolute_url(), "released its window"
    assert notice not in browser.get(url).text

    reopened = Deployment.objects.get(pk=deployment.pk)
    reopened.reopen(MACHINE, "because")
    page = browser.get(url).text
    assert f'<a href="{other.get_absolute_url()}">“The next one”</a> has shop from {other.window}' in page
    assert notice in page
    assert notice not in browser.get(other.get_absolute_url()).text
    # It does not block the reopened deployment.
    assert "The next one" not in str(readiness.blockers(reopened, "post"))

    other.cancel(MACHINE, "Not needed.")
    assert notice not in browser.get(url).text


def test_a_gate_without_blockers_asks_for_signatures(
    deployment: Deployment, viewer: User, signed_in: Any
) -> None:
    url = deployment.get_absolute_url()
    assert (
        "Complete the items of the first gate, then sign it." in signed_in(viewer).get(url).content.decode()
    )
    Item.objects.of_deployment(deployment.pk).update(state="done")
    assert "The first gate has no blockers." in signed_in(viewer).get(url).content.decode()
