"""Planning a deployment: what it is made of, and what it refuses."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from checklists import hooks
from checklists.models import Deployment, Item, Section, TemplateVersion
from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission, Role
from deployctl.audit.models import Entry
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from deployctl.runs.models import Target
from tests.checklists.factories import MACHINE, a_target, in_hours, item, plan, published
from tests.people import person


def test_the_checklist_is_made_from_the_template_in_its_order(deployment: Deployment) -> None:
    sections = Section.objects.filter(checklist__deployment=deployment)
    assert [(s.phase, s.title, s.stage) for s in sections] == [
        ("Before", "Groundwork", "pre"),
        ("The day", "Schema", "deploy"),
        ("After", "", "post"),
        ("Week", "", "week"),
    ]
    assert sections[0].blocks[0] == {"kind": "note", "text": "Read this first."}
    assert sections[0].blocks[1] == {"kind": "commands", "text": "createdb it", "language": "bash"}
    assert [i.text for i in Item.objects.of_deployment(deployment.pk)][:3] == [
        "Server is there",
        "Anybody checks this",
        "Papers are filed",
    ]


def test_sub_items_know_their_parent(deployment: Deployment) -> None:
    assert item(deployment, "Pool").parent == item(deployment, "Thresholds")


def test_due_times_are_relative_to_the_window(deployment: Deployment) -> None:
    before, after = item(deployment, "Server"), item(deployment, "Looked")
    assert before.due_at == deployment.window_start - timedelta(weeks=1)
    assert after.due_at == deployment.window_end + timedelta(hours=2)


def test_the_whole_production_checklist_becomes_items(target: Target, dba: User) -> None:
    from checklists.models import Template

    made = plan(target, Template.ensure_builtin(), [(dba, Role.DBA)])
    items = Item.objects.of_deployment(made.pk)
    assert items.count() == 142
    assert items.filter(parent__isnull=False).count() == 10


def test_creating_is_audited_and_told(target: Target, version: TemplateVersion, dba: User) -> None:
    heard = []

    def handler(made: Deployment, parsed: object, by: object) -> None:
        heard.append((made.pk, by, made.checklist.sections.count()))

    with hooks.deployment_created.connected(handler):
        made = plan(target, version, [(dba, Role.DBA)], by=dba)
    assert heard == [(made.pk, dba, 4)]
    assert Entry.objects.filter(action="deployment.created", deployment_id=made.pk, actor=dba).exists()
    assert made.state_changes.get().to_state == "planning"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"title": "  "}, "needs a title"),
        ({"title": "x" * 201}, "longer than 200"),
        ({"rollback_plan": " \r\n "}, "needs a rollback plan"),
        ({"window_end": in_hours(-1), "window_start": in_hours(-2)}, "over already"),
        ({"window_end": in_hours(20)}, "ends before it starts"),
        ({"window_end": in_hours(24 * 365)}, "longer than 31 days"),
        ({"window_start": in_hours(24).replace(tzinfo=None)}, "time zone"),
    ],
)
def test_unusable_plans_are_refused_in_a_sentence(
    target: Target, version: TemplateVersion, dba: User, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        plan(target, version, [(dba, Role.DBA)], **changes)
    assert not Deployment.objects.exists()


def test_an_unknown_role_is_refused_with_the_known_ones(
    target: Target, version: TemplateVersion, dba: User
) -> None:
    with pytest.raises(InvalidInput, match=r"“boss” is not a role.*dba"):
        plan(target, version, [(dba, "boss")])


def test_a_deployment_without_a_team_is_refused(target: Target, version: TemplateVersion) -> None:
    with pytest.raises(InvalidInput, match="needs a team"):
        plan(target, version, [])


def test_a_disabled_person_cannot_be_in_the_team(target: Target, version: TemplateVersion, dba: User) -> None:
    dba.is_active = False
    with pytest.raises(InvalidInput, match="disabled"):
        plan(target, version, [(dba, Role.DBA)])


def test_an_archived_target_is_refused(target: Target, version: TemplateVersion, dba: User) -> None:
    target.archived_at = in_hours(0)
    with pytest.raises(Refusal, match="archived"):
        plan(target, version, [(dba, Role.DBA)])


def test_a_draft_cannot_be_deployed(target: Target, version: TemplateVersion, dba: User) -> None:
    from checklists.models import Template

    draft = Template.import_source(slug="draft", name="Draft", source="# D\n\n- [ ] x\n", by=MACHINE)
    with pytest.raises(Refusal, match="is a draft"):
        plan(target, draft, [(dba, Role.DBA)])


def test_somebody_who_is_no_operator_cannot_plan(target: Target, version: TemplateVersion, cto: User) -> None:
    with pytest.raises(NotAllowed, match="for operators"):
        plan(target, version, [(cto, Role.CTO)], by=cto)


def test_overlapping_windows_of_one_target_are_refused_naming_the_other(
    deployment: Deployment, version: TemplateVersion, dba: User
) -> None:
    with pytest.raises(Refusal, match="“Shop goes live” holds shop from"):
        plan(
            deployment.target, version, [(dba, Role.DBA)], window_start=in_hours(25), window_end=in_hours(27)
        )


def test_what_is_refused_uses_up_no_number(
    deployment: Deployment, version: TemplateVersion, dba: User
) -> None:
    team, later = [(dba, str(Role.DBA))], {"window_start": in_hours(25), "window_end": in_hours(27)}
    unsigned = published("# Short\n\n- [ ] one\n", "short")
    with pytest.raises(Refusal, match="holds shop"):
        plan(deployment.target, version, team, **later)
    with pytest.raises(Refusal, match="has no signature line for the gate"):
        plan(a_target("other"), unsigned, team)

    assert plan(a_target("third"), version, team).pk == deployment.pk + 1


def test_of_several_planned_at_once_for_one_window_one_is_and_no_number_is_missing(
    committed_db: Any,
) -> None:
    ann = person("Ann One", Permission.OPERATOR)
    target, version = a_target(), published()
    together = threading.Barrier(4)

    def one(_: int) -> int | str:
        together.wait(60)
        try:
            return plan(target, version, [(ann, Role.DBA)]).pk
        except Refusal as refusal:
            return refusal.message
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(one, range(4)))
    (made,) = (answer for answer in answers if isinstance(answer, int))
    assert sum("“Shop goes live” holds shop from" in str(answer) for answer in answers) == 3

    following = plan(target, version, [(ann, Role.DBA)], window_start=in_hours(30), window_end=in_hours(31))
    assert following.pk == made + 1


def test_windows_that_only_touch_and_other_targets_are_no_overlap(
    deployment: Deployment, version: TemplateVersion, dba: User
) -> None:
    team = [(dba, str(Role.DBA))]
    plan(deployment.target, version, team, window_start=deployment.window_end, window_end=in_hours(30))
    plan(a_target("other"), version, team)


def test_a_cancelled_deployment_holds_its_window_no_longer(
    deployment: Deployment, version: TemplateVersion, dba: User
) -> None:
    deployment.cancel(dba, "Not this week.")
    plan(deployment.target, version, [(dba, Role.DBA)])


def test_a_template_without_sections_of_its_own_works(target: Target, dba: User) -> None:
    lines = "".join(
        f"- [ ] DBA: ____ Date: ____ <!-- sign: {gate}, role: dba -->\n" for gate in ("pre", "post")
    )
    made = plan(target, published(f"- [ ] one\n- [ ] two\n{lines}", "plain"), [(dba, Role.DBA)])
    assert [i.text for i in Item.objects.of_deployment(made.pk)] == ["one", "two"]
