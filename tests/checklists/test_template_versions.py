"""Templates come in versions; a published one never changes, whoever tries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from checklists.markdown import TemplateErrors, parse
from checklists.models import Template, TemplateVersion
from deployctl.accounts.models import User
from deployctl.audit import Action, Machine
from deployctl.audit.models import Entry
from deployctl.errors import InvalidInput, Refusal

ME = Machine("test")
SOURCE = "# Go live\n\n## A\n\n- [ ] a\n"

pytestmark = pytest.mark.django_db


def imported(source: str = SOURCE, slug: str = "go-live", name: str = "") -> TemplateVersion:
    return Template.import_source(slug=slug, name=name, source=source, by=ME)


def test_an_import_makes_a_draft_named_after_its_title(dba: User) -> None:
    version = Template.import_source(slug="go-live", name="", source=SOURCE, by=dba)
    assert str(version) == "Go live v1"
    assert not version.is_published
    assert version.created_by_name == dba.name
    assert Entry.objects.filter(action=Action.TEMPLATE_IMPORTED).count() == 1


def test_another_import_is_the_next_version() -> None:
    imported()
    second = imported(f"{SOURCE}- [ ] b\n", name="Going live")
    assert (second.number, str(second)) == (2, "Going live v2")


def test_the_same_text_again_is_refused() -> None:
    imported()
    with pytest.raises(Refusal, match=r"same as Go live v1 \(draft\). Nothing was imported"):
        imported(SOURCE.replace("\n", "\r\n"))
    assert TemplateVersion.objects.count() == 1


def test_an_older_text_may_come_back() -> None:
    imported()
    imported(f"{SOURCE}- [ ] b\n")
    assert imported().number == 3


def test_a_text_that_is_no_template_leaves_nothing_behind() -> None:
    with pytest.raises(TemplateErrors):
        imported("no items")
    assert not Template.objects.exists()


@pytest.mark.parametrize("slug", ["", "a b", "new", "x" * 61, "../up"])
def test_a_short_name_that_cannot_be_an_address_is_refused(slug: str) -> None:
    with pytest.raises(InvalidInput, match="Nothing was imported"):
        imported(slug=slug)


def test_publishing_is_recorded_and_happens_once(devops_lead: User) -> None:
    version = imported()
    version.publish(by=devops_lead)
    fresh = TemplateVersion.objects.get(pk=version.pk)
    assert fresh.is_published
    assert fresh.published_by_name == devops_lead.name
    with pytest.raises(Refusal, match="published already"):
        fresh.publish(by=devops_lead)
    assert Entry.objects.filter(action=Action.TEMPLATE_PUBLISHED).count() == 1


def test_a_draft_that_was_read_before_another_published_it_is_refused() -> None:
    version = imported()
    stale = TemplateVersion.objects.get(pk=version.pk)
    version.publish(by=ME)
    with pytest.raises(Refusal):
        stale.publish(by=ME)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE checklists_templateversion SET source = 'x'",
        "UPDATE checklists_templateversion SET state = 'draft'",
        "DELETE FROM checklists_templateversion",
    ],
)
def test_the_database_refuses_to_change_a_published_version(statement: str) -> None:
    imported().publish(by=ME)
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        connection.cursor().execute(statement)


def test_current_is_the_newest_published_and_latest_the_newest() -> None:
    imported().publish(by=ME)
    imported(f"{SOURCE}- [ ] b\n")
    template = Template.objects.with_versions().get()
    assert template.current
    assert template.latest
    assert (template.current.number, template.latest.number) == (1, 2)


def test_only_templates_with_a_published_version_count_as_published() -> None:
    imported(slug="draft")
    imported(slug="done").publish(by=ME)
    assert [template.slug for template in Template.objects.published()] == ["done"]


def test_what_is_exported_says_the_same() -> None:
    version = imported()
    assert parse(version.exported()) == version.parsed()


def test_the_built_in_template_is_published_once_however_often_it_is_asked_for() -> None:
    first = Template.ensure_builtin()
    assert first.is_published
    assert Template.ensure_builtin() == first
    assert TemplateVersion.objects.count() == 1
    assert sum(1 for _ in first.parsed().walk_items()) == 142


def test_a_changed_built_in_template_becomes_the_next_version() -> None:
    imported(slug="healthcare").publish(by=ME)
    assert Template.ensure_builtin().number == 2


def test_two_imports_at_once_get_two_numbers(committed_db: Any) -> None:
    def one(number: int) -> int:
        try:
            return imported(f"{SOURCE}- [ ] {number}\n").number
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, range(4))) == [1, 2, 3, 4]
