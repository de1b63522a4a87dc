"""Items as fragments and as pages: with htmx, without JavaScript, and on errors."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from checklists.models import Deployment, Item, Proof
from deployctl.accounts.models import User
from deployctl.runs.models import Run
from tests.checklists.factories import item

HTMX = {"HX-Request": "true"}


def test_completing_without_javascript_redirects_to_the_item(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    checklist_item = item(deployment, "Server")
    response = signed_in(dba).post(f"/items/{checklist_item.pk}/completion", {"note": "Yes."})
    assert response.status_code == 303
    assert response["Location"] == f"/deployments/{deployment.pk}/#item-{checklist_item.pk}"
    assert Item.objects.get(pk=checklist_item.pk).state == "done"


def test_completing_with_htmx_returns_the_updated_item(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    checklist_item = item(deployment, "Server")
    response = signed_in(dba).post(f"/items/{checklist_item.pk}/completion", headers=HTMX)
    page = response.content.decode()
    assert response.status_code == 200
    assert "<html" not in page
    assert f'id="item-{checklist_item.pk}" data-status="done"' in page
    assert "Dana Baker" in page


def test_a_second_completion_shows_the_current_item_and_an_error(
    deployment: Deployment, dba: User, devops_lead: User, signed_in: Any
) -> None:
    checklist_item = item(deployment, "Server")
    signed_in(dba).post(f"/items/{checklist_item.pk}/completion")
    response = signed_in(devops_lead).post(f"/items/{checklist_item.pk}/completion", headers=HTMX)
    assert response.status_code == 409
    page = response.content.decode()
    assert "was already completed by Dana Baker on" in page
    assert f'id="item-{checklist_item.pk}" data-status="done"' in page
    response = signed_in(devops_lead).post(f"/items/{checklist_item.pk}/completion")
    assert response.status_code == 409
    assert "<html" in response.content.decode()


def test_undo_works_without_javascript(deployment: Deployment, dba: User, signed_in: Any) -> None:
    checklist_item = item(deployment, "Server")
    checklist_item.complete(dba)
    signed_in(dba).post(f"/items/{checklist_item.pk}/completion", {"_method": "DELETE"})
    assert Item.objects.get(pk=checklist_item.pk).state == "open"


def test_changing_an_item_of_another_role_is_forbidden(
    deployment: Deployment, outsider: User, viewer: User, signed_in: Any
) -> None:
    checklist_item = item(deployment, "Server")
    for path, data in (
        ("completion", {}),
        ("completion", {"_method": "DELETE"}),
        ("waiver", {"reason": "x"}),
        ("waiver", {"_method": "DELETE"}),
        ("proofs", {"kind": "note", "text": "x"}),
    ):
        for person in (outsider, viewer):
            response = signed_in(person).post(f"/items/{checklist_item.pk}/{path}", data, headers=HTMX)
            assert response.status_code == 403
            assert "the team&#x27;s Database Administrator" in response.content.decode()
    assert not checklist_item.proofs.exists()


def test_a_viewer_sees_the_item_without_forms(deployment: Deployment, viewer: User, signed_in: Any) -> None:
    page = signed_in(viewer).get(f"/items/{item(deployment, 'Server').pk}/").content.decode()
    assert "This item can be completed by the team's Database Administrator" in page
    assert "/completion" not in page
    assert "/waiver" not in page


def test_an_expanded_item_shows_its_history_and_stays_expanded(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    checklist_item = item(deployment, "Server")
    checklist_item.complete(dba, "Version 16.")
    page = signed_in(dba).get(f"/items/{checklist_item.pk}/?open", headers=HTMX).content.decode()
    assert f"{dba.name}: completed “Version 16.”" in page
    assert f'hx-get="/items/{checklist_item.pk}/?open"' in page
    collapsed = signed_in(dba).get(f"/items/{checklist_item.pk}/", headers=HTMX).content.decode()
    assert "item__panel" not in collapsed


def test_the_page_of_an_item_lists_its_sub_items(deployment: Deployment, dba: User, signed_in: Any) -> None:
    page = signed_in(dba).get(f"/items/{item(deployment, 'Thresholds').pk}/").content.decode()
    assert "0 of 2 sub-items" in page
    assert "Pool" in page


def test_a_waiver_needs_a_reason(deployment: Deployment, dba: User, signed_in: Any) -> None:
    response = signed_in(dba).post(f"/items/{item(deployment, 'Server').pk}/waiver", headers=HTMX)
    assert response.status_code == 422
    assert "needs a reason" in response.content.decode()


def test_an_item_can_be_waived_and_the_waiver_undone(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    checklist_item, browser = item(deployment, "Server"), signed_in(dba)
    browser.post(f"/items/{checklist_item.pk}/waiver", {"reason": "Managed."})
    assert Item.objects.get(pk=checklist_item.pk).state == "waived"
    browser.post(f"/items/{checklist_item.pk}/waiver", {"_method": "DELETE"})
    assert Item.objects.get(pk=checklist_item.pk).state == "open"


# --- Evidence -----------------------------------------------------------------------------------------


def test_evidence_files_are_downloaded_and_never_displayed(
    deployment: Deployment, dba: User, viewer: User, signed_in: Any, client: Any
) -> None:
    checklist_item = item(deployment, "Server")
    upload = SimpleUploadedFile("report.html", b"<script>alert(1)</script>", content_type="text/html")
    signed_in(dba).post(f"/items/{checklist_item.pk}/proofs", {"kind": "file", "file": upload})
    url = f"/proofs/{checklist_item.proofs.get().pk}/file"
    response = signed_in(viewer).get(url)
    assert b"".join(response.streaming_content) == b"<script>alert(1)</script>"
    assert response["Content-Disposition"] == 'attachment; filename="report.html"'
    assert response["Content-Type"] == "application/octet-stream"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in response["Content-Security-Policy"]
    response.close()
    assert client.get(url).status_code == 302


def test_downloading_a_missing_file_shows_an_error(deployment: Deployment, dba: User, signed_in: Any) -> None:
    proof = item(deployment, "Server").add_proof(dba, "file", file=SimpleUploadedFile("a.txt", b"a"))
    proof.file.storage.delete(str(proof.file.name))
    response = signed_in(dba).get(f"/proofs/{proof.pk}/file")
    assert response.status_code == 409
    assert "is missing from storage" in response.content.decode()


@pytest.mark.parametrize("number", ["0", "99999999999999999999999999"])
def test_unknown_numbers_are_not_found(db: None, dba: User, signed_in: Any, number: str) -> None:
    browser = signed_in(dba)
    for url in (f"/items/{number}/", f"/proofs/{number}/file", f"/sections/{number}/"):
        assert browser.get(url).status_code == 404


def test_a_note_cannot_be_downloaded(deployment: Deployment, dba: User, signed_in: Any) -> None:
    proof = item(deployment, "Server").add_proof(dba, "note", text="Seen.")
    assert signed_in(dba).get(f"/proofs/{proof.pk}/file").status_code == 404


def test_user_text_is_escaped(deployment: Deployment, dba: User, signed_in: Any) -> None:
    checklist_item = item(deployment, "Server")
    checklist_item.add_proof(dba, "note", text="<script>alert(1)</script>")
    checklist_item.complete(dba, "<b>bold</b>")
    for url in (f"/items/{checklist_item.pk}/", deployment.get_absolute_url()):
        page = signed_in(dba).get(url).content.decode()
        assert "<script>alert" not in page
        assert "<b>bold" not in page


# --- Runs ---------------------------------------------------------------------------------------------


def test_an_operator_starts_the_operation_with_htmx(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    checklist_item = item(deployment, "Connection")
    response = signed_in(dba).post(f"/items/{checklist_item.pk}/runs", headers=HTMX)
    run = Run.objects.get()
    assert response.status_code == 200
    assert f"/runs/{run.pk}/" in response.content.decode()


def test_only_operators_can_start_an_operation(deployment: Deployment, cto: User, signed_in: Any) -> None:
    response = signed_in(cto).post(f"/items/{item(deployment, 'Connection').pk}/runs")
    assert response.status_code == 403
    assert not Run.objects.exists()


def test_operations_cannot_start_before_the_first_gate(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    response = signed_in(dba).post(f"/items/{item(deployment, 'Migrations').pk}/runs", headers=HTMX)
    assert response.status_code == 409
    assert "signed yet; get it signed, then begin the deployment." in response.content.decode()


# --- Sections -----------------------------------------------------------------------------------------


def test_the_open_items_of_a_section_are_completed_together(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    section = item(deployment, "Server").section
    response = signed_in(dba).post(f"/sections/{section.pk}/completions", {"note": "All."}, headers=HTMX)
    assert response.status_code == 200
    assert "4 of 6" in response.content.decode()
    response = signed_in(dba).post(f"/sections/{section.pk}/completions", {"note": "Again."}, headers=HTMX)
    assert response.status_code == 409
    assert "has no open items that can be completed together" in response.content.decode()


def test_a_failed_check_does_not_count_as_evidence(
    deployment: Deployment, devops_lead: User, signed_in: Any
) -> None:
    checklist_item, browser = item(deployment, "Papers"), signed_in(devops_lead)
    Proof.objects.create(item=checklist_item, kind="check", outcome="fail", by_name="test")
    page = browser.get(f"/items/{checklist_item.pk}/").content.decode()
    assert "needs evidence" in page
    assert f'aria-label="Show details: {checklist_item}"' in page  # one click would be rejected
    checklist_item.add_proof(devops_lead, "note", text="Shelf 7.")
    assert (
        f'aria-label="Complete: {checklist_item}"'
        in browser.get(f"/items/{checklist_item.pk}/").content.decode()
    )
