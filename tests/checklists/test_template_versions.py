"""Versions of templates; a published version never changes."""

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

MACHINE = Machine("test")
SOURCE = "# Go live\n\n## A\n\n- [ ] a\n"

pytestmark = pytest.mark.django_db


def imported(source: str = SOURCE, slug: str = "go-live", name: str = "") -> TemplateVersion:
    return Template.import_source(slug=slug, name=name, source=source, by=MACHINE)


def test_an_import_makes_a_draft_named_after_its_title(dba: User) -> None:
    version = Template.import_source(slug="go-live", name="", source=SOURCE, by=dba)
    assert str(version) == "Go live v1"
    assert not version.is_published
    assert version.created_by_name == dba.name
    assert Entry.objects.filter(action=Action.TEMPLATE_IMPORTED).count() == 1


def test_a_second_import_is_the_next_version() -> None:
    imported()
    second = imported(f"{SOURCE}- [ ] b\n", name="Going live")
    assert (second.number, str(second)) == (2, "Going live v2")


def test_importing_the_same_text_again_is_refused() -> None:
    imported()
    with pytest.raises(Refusal, match=r"identical to Go live v1 \(draft\). Nothing was imported"):
        imported(SOURCE.replace("\n", "\r\n"))
    assert TemplateVersion.objects.count() == 1


def test_an_older_text_can_be_imported_again() -> None:
    imported()
    imported(f"{SOURCE}- [ ] b\n")
    assert imported().number == 3


def test_importing_an_invalid_template_saves_nothing() -> None:
    with pytest.raises(TemplateErrors):
        imported("no items")
    assert not Template.objects.exists()


@pytest.mark.parametrize("slug", ["", "a b", "new", "x" * 61, "../up"])
def test_an_invalid_slug_is_refused(slug: str) -> None:
    with pytest.raises(InvalidInput, match="Nothing was imported"):
        imported(slug=slug)


def test_a_version_is_published_and_audited_only_once(devops_lead: User) -> None:
    version = imported()
    version.publish(by=devops_lead)
    fresh = TemplateVersion.objects.get(pk=version.pk)
    assert fresh.is_published
    assert fresh.published_by_name == devops_lead.name
    with pytest.raises(Refusal, match="is already published"):
        fresh.publish(by=devops_lead)
    assert Entry.objects.filter(action=Action.TEMPLATE_PUBLISHED).count() == 1


def test_publishing_a_stale_draft_is_refused() -> None:
    version = imported()
    stale = TemplateVersion.objects.get(pk=version.pk)
    version.publish(by=MACHINE)
    with pytest.raises(Refusal):
        stale.publish(by=MACHINE)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE checklists_templateversion SET source = 'x'",
        "UPDATE checklists_templateversion SET state = 'draft'",
        "DELETE FROM checklists_templateversion",
    ],
)
def test_the_database_rejects_changes_of_a_published_version(statement: str) -> None:
    imported().publish(by=MACHINE)
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        connection.cursor().execute(statement)


def test_current_is_the_newest_published_version() -> None:
    imported().publish(by=MACHINE)
    imported(f"{SOURCE}- [ ] b\n")
    template = Template.objects.with_versions().get()
    assert template.current
    assert template.latest
    assert (template.current.number, template.latest.number) == (1, 2)


def test_only_templates_with_a_published_version_are_published() -> None:
    imported(slug="draft")
    imported(slug="done").publish(by=MACHINE)
    assert [template.slug for template in Template.objects.published()] == ["done"]


def test_an_exported_version_parses_to_the_same_template() -> None:
    version = imported()
    assert parse(version.exported()) == version.parsed()


def test_the_built_in_template_is_published_only_once() -> None:
    first = Template.ensure_builtin()
    assert first.is_published
    assert Template.ensure_builtin() == first
    assert TemplateVersion.objects.count() == 1
    assert sum(1 for _ in first.parsed().walk_items()) == 142


def test_a_changed_built_in_template_becomes_the_next_version() -> None:
    imported(slug="healthcare").publish(by=MACHINE)
    assert Template.ensure_builtin().number == 2


def test_concurrent_imports_get_different_numbers(committed_db: Any) -> None:
    def import_one(number: int) -> int:
        try:
            return imported(f"{SOURCE}- [ ] {number}\n").number
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(import_one, range(4))) == [1, 2, 3, 4]
