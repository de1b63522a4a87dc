"""The deployment's page and its parts, the list, and what people may press."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from checklists import readiness
from checklists.models import Deployment, Item, Template
from checklists.presenters import Show
from checklists.presenters.timeline import timeline_of
from deployctl.accounts.models import User
from tests.checklists.factories import MACHINE, in_hours, item, plan, team_of

HTMX = {"HX-Request": "true"}


@pytest.fixture
def whole(target: Any, dba: User, devops_lead: User, qa_lead: User) -> Deployment:
    """A deployment of the whole production checklist."""
    return plan(target, Template.ensure_builtin(), team_of(dba, devops_lead, qa_lead))


def put(deployment: Deployment, state: str) -> None:
    Deployment.objects.filter(pk=deployment.pk).update(state=state)


def test_the_page_of_the_whole_checklist_needs_few_queries(
    whole: Deployment, dba: User, signed_in: Any
) -> None:
    browser = signed_in(dba)
    for checklist_item in Item.objects.of_deployment(whole.pk).for_bulk()[:20]:
        checklist_item.complete(dba)
    item(whole, "Database credentials").add_proof(dba, "note", text="In the vault.")
    with CaptureQueriesContext(connection) as captured:
        answer = browser.get(whole.get_absolute_url())
    assert answer.status_code == 200
    queries = [query["sql"][:150] for query in captured.captured_queries]
    assert len(queries) <= 15, "\n".join(queries)


def test_the_numbers_of_the_whole_checklist_add_up_in_words(
    whole: Deployment, dba: User, signed_in: Any
) -> None:
    page = " ".join(signed_in(dba).get(whole.get_absolute_url()).text.split())
    assert 'All <span class="numeric">140</span>' in page
    assert "<span>0 of 120 done</span>" in page
    assert "counting what the gates and closing wait for; besides, 20 recurring or to read" in page
    template = signed_in(dba).get(whole.template_version.get_absolute_url()).text
    assert "142</span>, 2 of them with sub-items, which they follow" in template


def test_the_page_tells_the_story(deployment: Deployment, dba: User, viewer: User, signed_in: Any) -> None:
    item(deployment, "Server").complete(dba, "Version 16.")
    page = signed_in(viewer).get(deployment.get_absolute_url()).content.decode()
    for words in (
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
        "ticked",
        f'data-live-channels="deployment:{deployment.pk}"',
    ):
        assert words in page, words


@pytest.mark.parametrize("part", ["state", "progress", "timeline"])
def test_each_live_part_is_a_fragment_with_its_id(
    deployment: Deployment, viewer: User, signed_in: Any, part: str
) -> None:
    answer = signed_in(viewer).get(f"{deployment.get_absolute_url()}{part}", headers=HTMX)
    assert f'id="deployment-{deployment.pk}-{part}"' in answer.content.decode()
    assert "<html" not in answer.content.decode()


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


def test_heads_of_phases_and_sections_are_fragments(
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
def test_filters_of_the_address(
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


def test_an_unknown_filter_shows_everything() -> None:
    assert Show.read("nonsense") == Show.ALL
    assert Show.read(None) == Show.ALL


def test_a_filter_that_nothing_fits_says_so(deployment: Deployment, dba: User, signed_in: Any) -> None:
    page = signed_in(dba).get(f"{deployment.get_absolute_url()}?show=failing").content.decode()
    assert "No item fits this filter." in page


def test_how_late_an_item_is_stands_beside_it(deployment: Deployment, dba: User, signed_in: Any) -> None:
    Item.objects.of_deployment(deployment.pk).filter(text__startswith="Server").update(due_at=in_hours(-50))
    assert "2 d 2 h late" in signed_in(dba).get(deployment.get_absolute_url()).content.decode()


def test_a_deployment_that_is_not_there_is_not_found(db: None, dba: User, signed_in: Any) -> None:
    browser = signed_in(dba)
    assert browser.get("/deployments/4711/").status_code == 404
    assert browser.post("/deployments/4711/launch").status_code == 404


def test_who_is_not_signed_in_is_sent_to_sign_in(deployment: Deployment, client: Any) -> None:
    answer = client.get(deployment.get_absolute_url())
    assert answer.status_code == 302
    assert "login" in answer["Location"]


# --- Moves --------------------------------------------------------------------------------------------


def test_the_page_offers_what_the_viewer_may_press(
    deployment: Deployment, dba: User, qa_lead: User, viewer: User, signed_in: Any
) -> None:
    put(deployment, "approved")
    begin, cancel = f"/deployments/{deployment.pk}/launch", f"/deployments/{deployment.pk}/cancellation"
    page = signed_in(dba).get(deployment.get_absolute_url()).content.decode()
    assert begin in page
    assert cancel in page
    assert "outside the window" in page
    for other in (qa_lead, viewer):
        assert begin not in signed_in(other).get(deployment.get_absolute_url()).content.decode()


def test_a_deployment_goes_through_its_moves(deployment: Deployment, dba: User, signed_in: Any) -> None:
    browser, address = signed_in(dba), deployment.get_absolute_url()
    put(deployment, "approved")
    for post, data, state in (
        ("launch", {}, "deploying"),
        ("halt", {"reason": "Smoke."}, "halted"),
        ("halt", {"_method": "DELETE"}, "deploying"),
        ("verification", {}, "verifying"),
        ("halt", {"reason": "Fire."}, "halted"),
        ("rollback", {"reason": "No way on."}, "rolling_back"),
        ("rollback/completion", {"reason": "Counts are as before."}, "rolled_back"),
    ):
        answer = browser.post(f"{address}{post}", data)
        assert (answer.status_code, answer["Location"]) == (303, address)
        deployment.refresh_from_db()
        assert deployment.state == state


def test_a_refused_move_is_a_conflict_with_a_sentence(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    answer = signed_in(dba).post(f"{deployment.get_absolute_url()}launch")
    assert answer.status_code == 409
    assert "is planning, so it can&#x27;t be begun" in answer.content.decode()


def test_a_move_without_its_reason_cannot_be_processed(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    answer = signed_in(dba).post(f"{deployment.get_absolute_url()}cancellation", {"reason": ""})
    assert answer.status_code == 422


def test_a_move_by_somebody_else_is_forbidden_with_a_sentence(
    deployment: Deployment, outsider: User, signed_in: Any
) -> None:
    answer = signed_in(outsider).post(f"{deployment.get_absolute_url()}cancellation", {"reason": "x"})
    assert answer.status_code == 403
    assert "Database Administrator, DevOps Lead" in answer.content.decode()


def test_a_move_needs_the_second_factor(deployment: Deployment, dba: User, signed_in: Any) -> None:
    browser = signed_in(dba, second_factor=False)
    answer = browser.post(f"{deployment.get_absolute_url()}cancellation", {"reason": "x"})
    assert answer.status_code == 302
    deployment.refresh_from_db()
    assert deployment.state == "planning"


# --- The list -----------------------------------------------------------------------------------------


def test_the_list_shows_what_is_under_way_with_go_or_no_go(
    deployment: Deployment, dba: User, viewer: User, signed_in: Any
) -> None:
    page = signed_in(viewer).get("/deployments/").content.decode()
    assert "Shop goes live" in page
    assert "NO-GO" in page
    assert "Plan a deployment" not in page
    deployment.cancel(dba, "Later.")
    page = signed_in(dba).get("/deployments/").content.decode()
    assert "Shop goes live" not in page
    assert "Plan the first deployment" in page


def test_programs_may_ask_for_the_head_of_a_page_only(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    browser = signed_in(dba)
    for address in ("/", "/deployments/", deployment.get_absolute_url(), "/deployments/new", "/history.csv"):
        answer = browser.head(address)
        assert (answer.status_code, answer.content) == (200, b""), address


def test_the_timeline_reads_as_sentences(deployment: Deployment, dba: User) -> None:
    deployment.edit(dba, title="Renamed", rollback_plan="Another.")
    item(deployment, "Connection").start(dba).cancel(by=dba)
    lines = [
        f"{line.actor} {line.phrase} {line.subject} {line.detail}".strip() for line in timeline_of(deployment)
    ]
    assert "Dana Baker changed the plan  rollback plan, title" in lines
    assert any(line.startswith("Dana Baker asked for run ") for line in lines)
    assert not [line for line in lines if ": requested" in line or ": cancelled" in line]


@pytest.mark.parametrize(
    ("find", "shown", "hidden"),
    [
        ("SERVER is", "Server is there", "Anybody checks this"),
        ("pool", "Thresholds", "Server is there"),
        ("server&show=failing", "No item fits this filter.", "Server is there"),
    ],
)
def test_items_are_found_by_their_words(
    deployment: Deployment, dba: User, signed_in: Any, find: str, shown: str, hidden: str
) -> None:
    page = signed_in(dba).get(f"{deployment.get_absolute_url()}?find={find}").content.decode()
    checklist = page.partition('</nav>\n  <div class="progress">')[2].partition("<aside")[0]
    assert shown in checklist
    assert hidden not in checklist


def test_a_section_is_found_by_its_title_and_filters_keep_what_was_looked_for(
    whole: Deployment, dba: User, signed_in: Any
) -> None:
    page = signed_in(dba).get(f"{whole.get_absolute_url()}?find=security+hardening").content.decode()
    assert "Audit logging enabled" in page
    assert "Prisma client generated" not in page.partition("<aside")[0]
    assert "?show=mine&amp;find=security+hardening" in page


def test_a_halted_deployment_says_who_halted_it_and_why(
    deployment: Deployment, dba: User, viewer: User, signed_in: Any
) -> None:
    put(deployment, "deploying")
    Deployment.objects.get(pk=deployment.pk).halt(dba, "Pods crash.")
    page = signed_in(viewer).get(f"{deployment.get_absolute_url()}state", headers=HTMX).content.decode()
    assert "Dana Baker halted it" in page
    assert "“Pods crash.”" in page


def test_what_has_ended_waits_for_no_window(deployment: Deployment, viewer: User, signed_in: Any) -> None:
    assert "Window opens" in signed_in(viewer).get(deployment.get_absolute_url()).content.decode()
    put(deployment, "closed")
    page = signed_in(viewer).get(deployment.get_absolute_url()).content.decode()
    assert "Window opens" not in page
    assert str(deployment.window) in page


def test_who_has_the_window_of_a_reopened_deployment_is_said_with_a_link(
    deployment: Deployment, viewer: User, dba: User, signed_in: Any
) -> None:
    put(deployment, "signed_off")
    facts = {"window_start": deployment.window_start, "window_end": deployment.window_end}
    version = deployment.template_version
    other = plan(deployment.target, version, [(dba, "dba")], title="The next one", **facts)
    browser, address, said = signed_in(viewer), deployment.get_absolute_url(), "gave its window up"
    assert said not in browser.get(address).text

    reopened = Deployment.objects.get(pk=deployment.pk)
    reopened.reopen(MACHINE, "because")
    page = browser.get(address).text
    assert f'<a href="{other.get_absolute_url()}">“The next one”</a> has shop from {other.window}' in page
    assert said in page
    assert said not in browser.get(other.get_absolute_url()).text
    # It keeps the reopened one from nothing.
    assert "The next one" not in str(readiness.blockers(reopened, "post"))

    other.cancel(MACHINE, "Not needed.")
    assert said not in browser.get(address).text


def test_a_gate_that_nothing_is_in_the_way_of_asks_for_signatures(
    deployment: Deployment, viewer: User, signed_in: Any
) -> None:
    address = deployment.get_absolute_url()
    assert "Tick or run what the first gate covers" in signed_in(viewer).get(address).content.decode()
    Item.objects.of_deployment(deployment.pk).update(state="done")
    assert "have the first gate signed" in signed_in(viewer).get(address).content.decode()
