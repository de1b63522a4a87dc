"""Items in place and on their own page: with htmx, without JavaScript, refused, too late."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from checklists.models import Deployment, Item, Proof
from deployctl.accounts.models import User
from deployctl.runs.models import Run
from tests.checklists.factories import item

HTMX = {"HX-Request": "true"}


def test_without_javascript_a_tick_leads_back_to_the_item(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    checklist_item = item(deployment, "Server")
    answer = signed_in(dba).post(f"/items/{checklist_item.pk}/completion", {"note": "Yes."})
    assert answer.status_code == 303
    assert answer["Location"] == f"/deployments/{deployment.pk}/#item-{checklist_item.pk}"
    assert Item.objects.get(pk=checklist_item.pk).state == "done"


def test_htmx_gets_the_item_as_it_is_afterwards(deployment: Deployment, dba: User, signed_in: Any) -> None:
    checklist_item = item(deployment, "Server")
    answer = signed_in(dba).post(f"/items/{checklist_item.pk}/completion", headers=HTMX)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "<html" not in page
    assert f'id="item-{checklist_item.pk}" data-status="done"' in page
    assert "Dana Baker" in page


def test_the_second_person_gets_the_fresh_item_and_a_sentence(
    deployment: Deployment, dba: User, devops_lead: User, signed_in: Any
) -> None:
    checklist_item = item(deployment, "Server")
    signed_in(dba).post(f"/items/{checklist_item.pk}/completion")
    answer = signed_in(devops_lead).post(f"/items/{checklist_item.pk}/completion", headers=HTMX)
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "was already completed by Dana Baker on" in page
    assert f'id="item-{checklist_item.pk}" data-status="done"' in page
    answer = signed_in(devops_lead).post(f"/items/{checklist_item.pk}/completion")
    assert answer.status_code == 409
    assert "<html" in answer.content.decode()


def test_undo_works_from_a_plain_form(deployment: Deployment, dba: User, signed_in: Any) -> None:
    checklist_item = item(deployment, "Server")
    checklist_item.complete(dba)
    signed_in(dba).post(f"/items/{checklist_item.pk}/completion", {"_method": "DELETE"})
    assert Item.objects.get(pk=checklist_item.pk).state == "open"


def test_somebody_elses_item_is_forbidden_with_a_sentence(
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
            answer = signed_in(person).post(f"/items/{checklist_item.pk}/{path}", data, headers=HTMX)
            assert answer.status_code == 403
            assert "the team&#x27;s Database Administrator" in answer.content.decode()
    assert not checklist_item.proofs.exists()


def test_a_viewer_sees_the_item_without_anything_to_press(
    deployment: Deployment, viewer: User, signed_in: Any
) -> None:
    page = signed_in(viewer).get(f"/items/{item(deployment, 'Server').pk}/").content.decode()
    assert "This item is for the team's Database Administrator" in page
    assert "/completion" not in page
    assert "/waiver" not in page


def test_an_open_item_shows_its_history_and_stays_open_when_refreshed(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    checklist_item = item(deployment, "Server")
    checklist_item.complete(dba, "Version 16.")
    page = signed_in(dba).get(f"/items/{checklist_item.pk}/?open", headers=HTMX).content.decode()
    assert f"{dba.name}: completed “Version 16.”" in page
    assert f'hx-get="/items/{checklist_item.pk}/?open"' in page
    closed = signed_in(dba).get(f"/items/{checklist_item.pk}/", headers=HTMX).content.decode()
    assert "item__panel" not in closed


def test_an_item_with_sub_items_has_a_page(deployment: Deployment, dba: User, signed_in: Any) -> None:
    page = signed_in(dba).get(f"/items/{item(deployment, 'Thresholds').pk}/").content.decode()
    assert "0 of 2 sub-items" in page
    assert "Pool" in page


def test_a_waiver_without_a_reason_cannot_be_processed(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    answer = signed_in(dba).post(f"/items/{item(deployment, 'Server').pk}/waiver", headers=HTMX)
    assert answer.status_code == 422
    assert "needs a reason" in answer.content.decode()


def test_waive_and_withdraw(deployment: Deployment, dba: User, signed_in: Any) -> None:
    checklist_item, browser = item(deployment, "Server"), signed_in(dba)
    browser.post(f"/items/{checklist_item.pk}/waiver", {"reason": "Managed."})
    assert Item.objects.get(pk=checklist_item.pk).state == "waived"
    browser.post(f"/items/{checklist_item.pk}/waiver", {"_method": "DELETE"})
    assert Item.objects.get(pk=checklist_item.pk).state == "open"


# --- Evidence -----------------------------------------------------------------------------------------


def test_a_file_is_downloaded_under_its_name_and_never_shown(
    deployment: Deployment, dba: User, viewer: User, signed_in: Any, client: Any
) -> None:
    checklist_item = item(deployment, "Server")
    upload = SimpleUploadedFile("report.html", b"<script>alert(1)</script>", content_type="text/html")
    signed_in(dba).post(f"/items/{checklist_item.pk}/proofs", {"kind": "file", "file": upload})
    address = f"/proofs/{checklist_item.proofs.get().pk}/file"
    answer = signed_in(viewer).get(address)
    assert b"".join(answer.streaming_content) == b"<script>alert(1)</script>"
    assert answer["Content-Disposition"] == 'attachment; filename="report.html"'
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    answer.close()
    assert client.get(address).status_code == 302


def test_a_file_that_is_gone_says_so(deployment: Deployment, dba: User, signed_in: Any) -> None:
    proof = item(deployment, "Server").add_proof(dba, "file", file=SimpleUploadedFile("a.txt", b"a"))
    proof.file.storage.delete(str(proof.file.name))
    answer = signed_in(dba).get(f"/proofs/{proof.pk}/file")
    assert answer.status_code == 409
    assert "no longer where it was kept" in answer.content.decode()


@pytest.mark.parametrize("number", ["0", "99999999999999999999999999"])
def test_what_is_not_there_is_not_found(db: None, dba: User, signed_in: Any, number: str) -> None:
    browser = signed_in(dba)
    for address in (f"/items/{number}/", f"/proofs/{number}/file", f"/sections/{number}/"):
        assert browser.get(address).status_code == 404


def test_a_note_of_proof_that_is_not_a_file_is_no_download(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    proof = item(deployment, "Server").add_proof(dba, "note", text="Seen.")
    assert signed_in(dba).get(f"/proofs/{proof.pk}/file").status_code == 404


def test_text_of_people_is_escaped(deployment: Deployment, dba: User, signed_in: Any) -> None:
    checklist_item = item(deployment, "Server")
    checklist_item.add_proof(dba, "note", text="<script>alert(1)</script>")
    checklist_item.complete(dba, "<b>bold</b>")
    for address in (f"/items/{checklist_item.pk}/", deployment.get_absolute_url()):
        page = signed_in(dba).get(address).content.decode()
        assert "<script>alert" not in page
        assert "<b>bold" not in page


# --- Runs ---------------------------------------------------------------------------------------------


def test_an_operator_starts_the_operation_in_place(deployment: Deployment, dba: User, signed_in: Any) -> None:
    checklist_item = item(deployment, "Connection")
    answer = signed_in(dba).post(f"/items/{checklist_item.pk}/runs", headers=HTMX)
    run = Run.objects.get()
    assert answer.status_code == 200
    assert f"/runs/{run.pk}/" in answer.content.decode()


def test_who_is_no_operator_does_not_start_it(deployment: Deployment, cto: User, signed_in: Any) -> None:
    answer = signed_in(cto).post(f"/items/{item(deployment, 'Connection').pk}/runs")
    assert answer.status_code == 403
    assert not Run.objects.exists()


def test_before_the_gate_the_refusal_says_what_to_do(
    deployment: Deployment, dba: User, signed_in: Any
) -> None:
    answer = signed_in(dba).post(f"/items/{item(deployment, 'Migrations').pk}/runs", headers=HTMX)
    assert answer.status_code == 409
    assert "signed yet; get it signed, then begin the deployment." in answer.content.decode()


# --- Sections -----------------------------------------------------------------------------------------


def test_a_section_is_ticked_together(deployment: Deployment, dba: User, signed_in: Any) -> None:
    section = item(deployment, "Server").section
    answer = signed_in(dba).post(f"/sections/{section.pk}/completions", {"note": "All."}, headers=HTMX)
    assert answer.status_code == 200
    assert "4 of 6" in answer.content.decode()
    answer = signed_in(dba).post(f"/sections/{section.pk}/completions", {"note": "Again."}, headers=HTMX)
    assert answer.status_code == 409
    assert "has no open items that can be completed together" in answer.content.decode()


def test_a_proof_that_failed_is_no_evidence(
    deployment: Deployment, devops_lead: User, signed_in: Any
) -> None:
    checklist_item, browser = item(deployment, "Papers"), signed_in(devops_lead)
    Proof.objects.create(item=checklist_item, kind="check", outcome="fail", by_name="test")
    page = browser.get(f"/items/{checklist_item.pk}/").content.decode()
    assert "needs evidence" in page
    assert f'aria-label="Open: {checklist_item}"' in page  # a press would be refused
    checklist_item.add_proof(devops_lead, "note", text="Shelf 7.")
    assert (
        f'aria-label="Tick: {checklist_item}"' in browser.get(f"/items/{checklist_item.pk}/").content.decode()
    )
