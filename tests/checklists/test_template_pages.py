"""The pages of templates: read by everybody, filled by operators, published by approvers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from checklists.markdown import MAX_BYTES, parse
from checklists.models import Template, TemplateVersion
from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission
from deployctl.audit import Machine
from tests.people import person

SOURCE = "# Go live\n\n## A <!-- role: dba -->\n\n- [ ] **bold** <script>\n  - [ ] below <!-- due: -2h -->\n"
NEW = "/templates/new"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder_for_static_files() -> None:
    """Whitenoise warns of a missing folder, and warnings are errors here."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture
def draft() -> TemplateVersion:
    return Template.import_source(slug="go-live", name="", source=SOURCE, by=Machine("test"))


def upload(content: bytes, name: str = "Go_live list.md") -> dict[str, Any]:
    return {"file": SimpleUploadedFile(name, content)}


def test_without_templates_the_list_says_what_to_do(signed_in: Any, dba: User, viewer: User) -> None:
    assert "Import a checklist" in signed_in(dba).get("/templates/").content.decode()
    page = signed_in(viewer).get("/templates/").content.decode()
    assert "An operator can import a checklist" in page
    assert NEW not in page


def test_the_list_names_the_newest_and_the_published_version(
    signed_in: Any, viewer: User, draft: TemplateVersion
) -> None:
    page = signed_in(viewer).get("/templates/").content.decode()
    assert "none yet" in page
    draft.publish(by=Machine("test"))
    assert "v1, published" in signed_in(viewer).get("/templates/").content.decode()


def test_a_version_shows_its_structure_and_escapes_html(
    signed_in: Any, viewer: User, draft: TemplateVersion
) -> None:
    page = signed_in(viewer).get("/templates/go-live/").content.decode()
    assert "<strong>bold</strong> &lt;script&gt;" in page
    assert "2 hours before the window" in page
    assert "Database Administrator" in page
    assert "There are no signature lines" in page
    assert "Publish v1" not in page


def test_the_built_in_template_is_shown_in_few_queries(
    signed_in: Any, viewer: User, django_assert_max_num_queries: Any
) -> None:
    version = Template.ensure_builtin()
    client = signed_in(viewer)
    with django_assert_max_num_queries(15):
        page = client.get(version.get_absolute_url()).content.decode()
    assert page.count('<li class="item">') == 148


def test_a_pasted_text_becomes_a_draft(signed_in: Any, dba: User) -> None:
    answer = signed_in(dba).post(NEW, {"text": SOURCE})
    version = TemplateVersion.objects.get()
    assert answer.status_code == 303
    assert answer["Location"] == version.get_absolute_url()
    assert (version.template.slug, version.state) == ("go-live", "draft")


def test_an_uploaded_file_becomes_a_draft_named_after_the_file(signed_in: Any, dba: User) -> None:
    signed_in(dba).post(NEW, upload(SOURCE.encode()) | {"name": "Ours"})
    version = TemplateVersion.objects.get()
    assert (version.template.slug, version.template.name) == ("go-live-list", "Ours")


def test_problems_are_listed_with_their_lines_and_the_text_comes_back(signed_in: Any, dba: User) -> None:
    answer = signed_in(dba).post(NEW, upload(b"## A\n- [ ] a <!-- rol: dba -->\n- [ ] b <!-- due: x -->\n"))
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "2 problems in the text" in page
    assert "did you mean “role”?" in page
    assert "- [ ] a &lt;!-- rol: dba --&gt;" in page
    assert not Template.objects.exists()


def test_a_mended_file_goes_before_the_text_that_came_back(signed_in: Any, dba: User) -> None:
    signed_in(dba).post(NEW, {"text": "## A\n- [ ] a <!-- rol: dba -->\n", **upload(SOURCE.encode())})
    assert TemplateVersion.objects.get().source == SOURCE


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "Choose a file or paste the text"),
        (upload(b"\xff\xfe"), "UTF-8 text; save it as UTF-8"),
        (upload(b"a\x00"), "control character"),
        (upload(b"a" * (MAX_BYTES + 1)), "larger than 1 MB"),
        ({"text": SOURCE, "slug": "new"}, "reserved"),
        ({"text": SOURCE, "slug": "a/b"}, "valid"),
    ],
)
def test_what_cannot_be_used_is_explained(
    signed_in: Any, dba: User, data: dict[str, Any], sentence: str
) -> None:
    answer = signed_in(dba).post(NEW, data)
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert not Template.objects.exists()


def test_the_same_text_again_is_a_conflict(signed_in: Any, dba: User, draft: TemplateVersion) -> None:
    answer = signed_in(dba).post(NEW, {"text": SOURCE, "slug": "go-live"})
    assert answer.status_code == 409
    assert "This text is identical to Go live v1" in answer.content.decode()


def test_a_new_version_begins_with_the_text_of_the_newest(
    signed_in: Any, dba: User, draft: TemplateVersion
) -> None:
    page = signed_in(dba).get(f"{NEW}?slug=go-live").content.decode()
    assert "- [ ] **bold** &lt;script&gt;" in page
    assert 'value="go-live"' in page


def test_an_approver_publishes_a_draft(signed_in: Any, cto: User, draft: TemplateVersion) -> None:
    client = signed_in(cto)
    assert "Publish v1" in client.get(draft.get_absolute_url()).content.decode()
    address = reverse("checklists:template_publication", args=["go-live", 1])
    assert client.post(address).status_code == 303
    draft.refresh_from_db()
    assert (draft.state, draft.published_by_name) == ("published", cto.name)
    assert client.post(address).status_code == 409


def test_the_export_is_a_file_that_says_the_same(
    signed_in: Any, viewer: User, draft: TemplateVersion
) -> None:
    answer = signed_in(viewer).get(reverse("checklists:template_export", args=["go-live", 1]))
    assert answer["Content-Type"] == "text/markdown; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="go-live-v1.md"'
    assert parse(answer.content.decode()) == draft.parsed()


def test_a_version_for_operations_that_are_gone_says_so(signed_in: Any, viewer: User) -> None:
    template = Template.objects.create(slug="old", name="Old")
    template.versions.create(
        number=1, source="- [ ] a <!-- operation: gone -->", source_sha256="0" * 64, created_by_name="x"
    )
    answer = signed_in(viewer).get("/templates/old/")
    assert answer.status_code == 200
    assert "There is no operation “gone”" in answer.content.decode()


@pytest.mark.parametrize("address", ["/templates/none/", "/templates/go-live/9/"])
def test_what_does_not_exist_is_not_found(
    signed_in: Any, viewer: User, draft: TemplateVersion, address: str
) -> None:
    assert signed_in(viewer).get(address).status_code == 404


def test_viewers_neither_import_nor_publish(signed_in: Any, viewer: User, draft: TemplateVersion) -> None:
    client = signed_in(viewer)
    assert client.get(NEW).status_code == 403
    assert client.post(NEW, {"text": SOURCE}).status_code == 403
    assert client.post(reverse("checklists:template_publication", args=["go-live", 1])).status_code == 403


def test_an_operator_who_is_no_approver_does_not_publish(signed_in: Any, draft: TemplateVersion) -> None:
    operator = person("Opal Rater", Permission.OPERATOR)
    address = reverse("checklists:template_publication", args=["go-live", 1])
    assert signed_in(operator).post(address).status_code == 403
    draft.refresh_from_db()
    assert not draft.is_published


def test_who_is_not_signed_in_is_sent_to_sign_in(client: Any) -> None:
    assert client.get("/templates/").status_code == 302
