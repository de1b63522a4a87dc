"""The pages of templates: everyone reads, operators import, approvers publish."""

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
def static_folder() -> None:
    """Create the static folder: WhiteNoise warns if it is missing, and warnings are errors in tests."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture
def draft() -> TemplateVersion:
    return Template.import_source(slug="go-live", name="", source=SOURCE, by=Machine("test"))


def upload(content: bytes, name: str = "Go_live list.md") -> dict[str, Any]:
    return {"file": SimpleUploadedFile(name, content)}


def test_an_empty_list_offers_the_import_to_operators(signed_in: Any, dba: User, viewer: User) -> None:
    assert "Import a checklist" in signed_in(dba).get("/templates/").content.decode()
    page = signed_in(viewer).get("/templates/").content.decode()
    assert "An operator can import a checklist" in page
    assert NEW not in page


def test_the_list_shows_the_newest_and_the_current_version(
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


def test_the_built_in_template_needs_few_queries(
    signed_in: Any, viewer: User, django_assert_max_num_queries: Any
) -> None:
    version = Template.ensure_builtin()
    client = signed_in(viewer)
    with django_assert_max_num_queries(15):
        page = client.get(version.get_absolute_url()).content.decode()
    assert page.count('<li class="item">') == 148


def test_pasted_text_is_imported_as_a_draft(signed_in: Any, dba: User) -> None:
    response = signed_in(dba).post(NEW, {"text": SOURCE})
    version = TemplateVersion.objects.get()
    assert response.status_code == 303
    assert response["Location"] == version.get_absolute_url()
    assert (version.template.slug, version.state) == ("go-live", "draft")


def test_an_uploaded_file_is_imported_under_its_file_name(signed_in: Any, dba: User) -> None:
    signed_in(dba).post(NEW, upload(SOURCE.encode()) | {"name": "Ours"})
    version = TemplateVersion.objects.get()
    assert (version.template.slug, version.template.name) == ("go-live-list", "Ours")


def test_errors_are_listed_with_lines_and_the_text_is_kept(signed_in: Any, dba: User) -> None:
    response = signed_in(dba).post(NEW, upload(b"## A\n- [ ] a <!-- rol: dba -->\n- [ ] b <!-- due: x -->\n"))
    page = response.content.decode()
    assert response.status_code == 422
    assert "2 errors in the text" in page
    assert "did you mean “role”?" in page
    assert "- [ ] a &lt;!-- rol: dba --&gt;" in page
    assert not Template.objects.exists()


def test_a_new_file_replaces_the_text_of_the_failed_import(signed_in: Any, dba: User) -> None:
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
def test_unusable_input_is_rejected_with_a_reason(
    signed_in: Any, dba: User, data: dict[str, Any], sentence: str
) -> None:
    response = signed_in(dba).post(NEW, data)
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert not Template.objects.exists()


def test_importing_the_same_text_again_is_a_conflict(
    signed_in: Any, dba: User, draft: TemplateVersion
) -> None:
    response = signed_in(dba).post(NEW, {"text": SOURCE, "slug": "go-live"})
    assert response.status_code == 409
    assert "This text is identical to Go live v1" in response.content.decode()


def test_a_new_version_starts_with_the_newest_text(signed_in: Any, dba: User, draft: TemplateVersion) -> None:
    page = signed_in(dba).get(f"{NEW}?slug=go-live").content.decode()
    assert "- [ ] **bold** &lt;script&gt;" in page
    assert 'value="go-live"' in page


def test_an_approver_publishes_a_draft(signed_in: Any, cto: User, draft: TemplateVersion) -> None:
    client = signed_in(cto)
    assert "Publish v1" in client.get(draft.get_absolute_url()).content.decode()
    url = reverse("checklists:template_publication", args=["go-live", 1])
    assert client.post(url).status_code == 303
    draft.refresh_from_db()
    assert (draft.state, draft.published_by_name) == ("published", cto.name)
    assert client.post(url).status_code == 409


def test_the_export_parses_to_the_same_template(signed_in: Any, viewer: User, draft: TemplateVersion) -> None:
    response = signed_in(viewer).get(reverse("checklists:template_export", args=["go-live", 1]))
    assert response["Content-Type"] == "text/markdown; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="go-live-v1.md"'
    assert parse(response.content.decode()) == draft.parsed()


def test_a_version_with_a_missing_operation_shows_the_error(signed_in: Any, viewer: User) -> None:
    template = Template.objects.create(slug="old", name="Old")
    template.versions.create(
        number=1, source="- [ ] a <!-- operation: gone -->", source_sha256="0" * 64, created_by_name="x"
    )
    response = signed_in(viewer).get("/templates/old/")
    assert response.status_code == 200
    assert "There is no operation “gone”" in response.content.decode()


@pytest.mark.parametrize("url", ["/templates/none/", "/templates/go-live/9/"])
def test_unknown_templates_and_versions_are_not_found(
    signed_in: Any, viewer: User, draft: TemplateVersion, url: str
) -> None:
    assert signed_in(viewer).get(url).status_code == 404


def test_viewers_can_neither_import_nor_publish(signed_in: Any, viewer: User, draft: TemplateVersion) -> None:
    client = signed_in(viewer)
    assert client.get(NEW).status_code == 403
    assert client.post(NEW, {"text": SOURCE}).status_code == 403
    assert client.post(reverse("checklists:template_publication", args=["go-live", 1])).status_code == 403


def test_only_approvers_can_publish(signed_in: Any, draft: TemplateVersion) -> None:
    operator = person("Opal Rater", Permission.OPERATOR)
    url = reverse("checklists:template_publication", args=["go-live", 1])
    assert signed_in(operator).post(url).status_code == 403
    draft.refresh_from_db()
    assert not draft.is_published


def test_anonymous_users_are_redirected_to_sign_in(client: Any) -> None:
    assert client.get("/templates/").status_code == 302
