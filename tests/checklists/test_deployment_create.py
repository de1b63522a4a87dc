"""Creation of deployments from a template, and invalid plans."""

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


def test_the_checklist_has_the_order_of_the_template(deployment: Deployment) -> None:
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


def test_creating_is_audited_and_calls_handlers(target: Target, version: TemplateVersion, dba: User) -> None:
    received = []

    def handler(made: Deployment, parsed: object, by: object) -> None:
        received.append((made.pk, by, made.checklist.sections.count()))

    with hooks.deployment_created.connected(handler):
        made = plan(target, version, [(dba, Role.DBA)], by=dba)
    assert received == [(made.pk, dba, 4)]
    assert Entry.objects.filter(action="deployment.created", deployment_id=made.pk, actor=dba).exists()
    assert made.state_changes.get().to_state == "planning"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"title": "  "}, "needs a title"),
        ({"title": "x" * 201}, "longer than 200"),
        ({"rollback_plan": " \r\n "}, "needs a rollback plan"),
        ({"window_end": in_hours(-1), "window_start": in_hours(-2)}, "already over"),
        ({"window_end": in_hours(20)}, "ends before it starts"),
        ({"window_end": in_hours(24 * 365)}, "longer than 31 days"),
        ({"window_start": in_hours(24).replace(tzinfo=None)}, "time zone"),
    ],
)
def test_an_invalid_plan_is_refused_with_a_message(
    target: Target, version: TemplateVersion, dba: User, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        plan(target, version, [(dba, Role.DBA)], **changes)
    assert not Deployment.objects.exists()


def test_the_refusal_of_an_unknown_role_lists_the_roles(
    target: Target, version: TemplateVersion, dba: User
) -> None:
    with pytest.raises(InvalidInput, match=r"“boss” isn't a role.*dba"):
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


def test_only_operators_can_create_deployments(target: Target, version: TemplateVersion, cto: User) -> None:
    with pytest.raises(NotAllowed, match="Only operators may create deployments"):
        plan(target, version, [(cto, Role.CTO)], by=cto)


def test_an_overlapping_window_of_the_same_target_is_refused(
    deployment: Deployment, version: TemplateVersion, dba: User
) -> None:
    with pytest.raises(Refusal, match="overlaps with that of “Shop goes live” on shop"):
        plan(
            deployment.target, version, [(dba, Role.DBA)], window_start=in_hours(25), window_end=in_hours(27)
        )


def test_a_refused_deployment_uses_no_number(
    deployment: Deployment, version: TemplateVersion, dba: User
) -> None:
    team, later = [(dba, str(Role.DBA))], {"window_start": in_hours(25), "window_end": in_hours(27)}
    unsigned = published("# Short\n\n- [ ] one\n", "short")
    with pytest.raises(Refusal, match="overlaps with that of “Shop goes live” on shop"):
        plan(deployment.target, version, team, **later)
    with pytest.raises(Refusal, match="has no signature line for the gate"):
        plan(a_target("other"), unsigned, team)

    assert plan(a_target("third"), version, team).pk == deployment.pk + 1


def test_concurrent_plans_for_one_window_create_one_deployment(
    committed_db: Any,
) -> None:
    ann = person("Ann One", Permission.OPERATOR)
    target, version = a_target(), published()
    barrier = threading.Barrier(4)

    def create_one(_: int) -> int | str:
        barrier.wait(60)
        try:
            return plan(target, version, [(ann, Role.DBA)]).pk
        except Refusal as refusal:
            return refusal.message
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(create_one, range(4)))
    (made,) = (result for result in results if isinstance(result, int))
    refusal = "overlaps with that of “Shop goes live” on shop"
    assert sum(refusal in str(result) for result in results) == 3

    following = plan(target, version, [(ann, Role.DBA)], window_start=in_hours(30), window_end=in_hours(31))
    assert following.pk == made + 1


def test_adjacent_windows_and_other_targets_do_not_overlap(
    deployment: Deployment, version: TemplateVersion, dba: User
) -> None:
    team = [(dba, str(Role.DBA))]
    plan(deployment.target, version, team, window_start=deployment.window_end, window_end=in_hours(30))
    plan(a_target("other"), version, team)


def test_a_cancelled_deployment_releases_its_window(
    deployment: Deployment, version: TemplateVersion, dba: User
) -> None:
    deployment.cancel(dba, "Not this week.")
    plan(deployment.target, version, [(dba, Role.DBA)])


def test_a_template_without_headings_works(target: Target, dba: User) -> None:
    lines = "".join(
        f"- [ ] DBA: ____ Date: ____ <!-- sign: {gate}, role: dba -->\n" for gate in ("pre", "post")
    )
    made = plan(target, published(f"- [ ] one\n- [ ] two\n{lines}", "plain"), [(dba, Role.DBA)])
    assert [i.text for i in Item.objects.of_deployment(made.pk)] == ["one", "two"]
