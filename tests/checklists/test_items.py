"""Items: completion, undo, waivers and proofs, and the permissions for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile

from checklists import hooks
from checklists.models import Deployment, Item, ItemState, Section
from deployctl.accounts.models import User
from deployctl.audit.models import Entry
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from tests.checklists.factories import MACHINE, item


def test_a_completion_records_person_and_note(deployment: Deployment, dba: User) -> None:
    checklist_item = item(deployment, "Server")
    checklist_item.complete(dba, "Version 16.4.\r\n")
    completion = checklist_item.completions.get()
    assert (checklist_item.state, completion.by, completion.note) == ("done", dba, "Version 16.4.")
    assert Entry.objects.get(action="item.completed").data == {"note": "Version 16.4."}


def test_a_second_completion_is_refused_naming_the_first(
    deployment: Deployment, dba: User, devops_lead: User
) -> None:
    mine, theirs = item(deployment, "Server"), item(deployment, "Server")
    mine.complete(dba)
    with pytest.raises(Refusal, match=r"was already completed by Dana Baker on .* UTC\. Nothing was changed"):
        theirs.complete(devops_lead)
    assert mine.completions.count() == 1


def test_undo_keeps_the_completion_and_records_the_person(deployment: Deployment, dba: User) -> None:
    checklist_item = item(deployment, "Server")
    checklist_item.complete(dba)
    checklist_item.undo(dba)
    completion = checklist_item.completions.get()
    assert checklist_item.state == "open"
    assert completion.undone_by_name == "Dana Baker"
    checklist_item.complete(dba)
    assert checklist_item.completions.count() == 2


def test_an_open_item_cannot_be_undone(deployment: Deployment, dba: User) -> None:
    with pytest.raises(Refusal, match="“Server is there” is open"):
        item(deployment, "Server").undo(dba)


def test_only_the_role_of_an_item_and_operators_complete_it(
    deployment: Deployment, qa_lead: User, administrator: User, devops_lead: User
) -> None:
    with pytest.raises(
        NotAllowed, match="Only the team's Database Administrator, operators and administrators"
    ):
        item(deployment, "Server").complete(qa_lead)
    item(deployment, "Server").complete(administrator)
    item(deployment, "Migrations").complete(devops_lead, "Saw it.")


def test_any_team_member_completes_an_item_without_a_role(
    deployment: Deployment, qa_lead: User, outsider: User
) -> None:
    with pytest.raises(NotAllowed, match="Only the deployment's team, operators and administrators"):
        item(deployment, "Anybody").complete(outsider)
    item(deployment, "Anybody").complete(qa_lead)


def test_a_disabled_user_completes_nothing(deployment: Deployment, dba: User) -> None:
    dba.is_active = False
    with pytest.raises(NotAllowed):
        item(deployment, "Server").complete(dba)


def test_waiving_needs_a_reason_and_can_be_withdrawn(deployment: Deployment, dba: User) -> None:
    checklist_item = item(deployment, "Server")
    with pytest.raises(InvalidInput, match="needs a reason"):
        checklist_item.waive(dba, "")
    checklist_item.waive(dba, "Managed by the provider.")
    assert checklist_item.state == "waived"
    with pytest.raises(Refusal, match=r"was already waived by Dana Baker .*\(Managed by the provider.\)"):
        checklist_item.complete(dba)
    checklist_item.unwaive(dba)
    assert checklist_item.state == "open"
    assert checklist_item.waivers.get().withdrawn_by_name == "Dana Baker"


def test_an_item_that_requires_evidence_needs_a_proof(deployment: Deployment, devops_lead: User) -> None:
    checklist_item = item(deployment, "Papers")
    with pytest.raises(Refusal, match="requires evidence"):
        checklist_item.complete(devops_lead)
    checklist_item.add_proof(devops_lead, "link", url="https://example.org/papers")
    checklist_item.complete(devops_lead)
    assert checklist_item.state == "done"


def test_the_completion_note_becomes_the_missing_evidence(deployment: Deployment, devops_lead: User) -> None:
    checklist_item = item(deployment, "Papers")
    checklist_item.complete(devops_lead, "Signed by all, filed under 2026/7.")
    assert checklist_item.state == "done"
    assert (checklist_item.proofs.get().kind, checklist_item.proofs.get().text) == (
        "note",
        "Signed by all, filed under 2026/7.",
    )
    checklist_item.undo(devops_lead)
    checklist_item.complete(devops_lead, "Still there.")
    assert checklist_item.proofs.count() == 1


def test_completing_an_operation_item_by_hand_needs_a_note(deployment: Deployment, dba: User) -> None:
    checklist_item = item(deployment, "Connection")
    with pytest.raises(InvalidInput, match="proven by the operation “connect”"):
        checklist_item.complete(dba)
    checklist_item.complete(dba, "psql says hello.")
    assert checklist_item.state == "done"


# --- Sub-items ----------------------------------------------------------------------------------------


def test_sub_items_determine_the_state_of_their_parent(deployment: Deployment, dba: User) -> None:
    parent, pool, disk = (item(deployment, text) for text in ("Thresholds", "Pool", "Disk"))
    with pytest.raises(Refusal, match="follows from its sub-items"):
        parent.complete(dba)
    pool.complete(dba)
    assert Item.objects.get(pk=parent.pk).state == "open"
    disk.waive(dba, "No disk.")
    assert Item.objects.get(pk=parent.pk).state == "done"
    pool.undo(dba)
    assert Item.objects.get(pk=parent.pk).state == "open"
    entries = Entry.objects.filter(action="item.rolled_up").order_by("pk")
    assert [entry.data for entry in entries] == [
        {"state": "done", "caused_by": "Disk < 20%"},
        {"state": "open", "caused_by": "Pool > 80%"},
    ]


def test_waiving_a_parent_waives_its_open_sub_items(deployment: Deployment, dba: User) -> None:
    item(deployment, "Pool").complete(dba)
    item(deployment, "Thresholds").waive(dba, "Not here.")
    assert item(deployment, "Pool").state == "done"
    assert item(deployment, "Disk").state == "waived"
    assert item(deployment, "Thresholds").state == "done"


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (["done", "done"], ItemState.DONE),
        (["done", "waived"], ItemState.DONE),
        (["waived", "waived"], ItemState.WAIVED),
        (["done", "open"], ItemState.OPEN),
        (["open", "failed"], ItemState.FAILED),
    ],
)
def test_the_state_of_a_parent_is_derived_from_its_sub_items(states: list[str], state: ItemState) -> None:
    assert ItemState.of_children(states) == state


# --- Proofs -------------------------------------------------------------------------------------------


def test_a_file_is_stored_under_a_random_name_with_its_digest(deployment: Deployment, dba: User) -> None:
    upload = SimpleUploadedFile("../../etc/pass\x00wd\u202e.txt", b"hello")
    proof = item(deployment, "Server").add_proof(dba, "file", file=upload, text="The report.")
    assert proof.file_name == "passwd.txt"
    stored_name = str(proof.file.name)
    assert stored_name.startswith("proofs/")
    assert "passwd" not in stored_name
    assert proof.file_sha256 == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    with default_storage.open(stored_name) as stored:
        assert stored.read() == b"hello"


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("note", {"text": " "}, "note is empty"),
        ("link", {"url": "javascript:alert(1)"}, "link isn't a valid URL"),
        ("link", {"url": "ftp://example.org"}, "link isn't a valid URL"),
        ("link", {"url": "https://me:secret@example.org/"}, "contains a user name or password"),
        ("link", {"url": "https://example.org/" + "x" * 1000}, "link isn't a valid URL"),
        ("file", {}, "No file"),
        ("file", {"file": SimpleUploadedFile("empty.txt", b"")}, "“empty.txt” is empty"),
        ("file", {"file": SimpleUploadedFile("setup.exe", b"MZ")}, "file type of “setup.exe” isn't accepted"),
        ("file", {"file": SimpleUploadedFile("report.pdf", b"MZ")}, "doesn't match its extension .pdf"),
        ("run", {}, "“run” isn't a kind of proof that people can add"),
    ],
)
def test_an_invalid_proof_is_refused(
    deployment: Deployment, dba: User, kind: str, content: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        item(deployment, "Server").add_proof(dba, kind, **content)  # type: ignore[arg-type]


def test_a_long_file_name_keeps_its_extension(deployment: Deployment, dba: User) -> None:
    upload = SimpleUploadedFile("n" * 240 + ".txt", b"hello")
    assert item(deployment, "Server").add_proof(dba, "file", file=upload).file_name == "n" * 196 + ".txt"


def test_a_file_above_ten_megabytes_is_refused(deployment: Deployment, dba: User) -> None:
    upload = SimpleUploadedFile("dump.bin", bytes(10 * 1024 * 1024 + 1))
    with pytest.raises(InvalidInput, match=r"“dump\.bin” has 10,485,761 bytes; the maximum is 10,485,760 "):
        item(deployment, "Server").add_proof(dba, "file", file=upload)


@pytest.fixture
def own_files(settings: Any, tmp_path: Path) -> Path:
    """Store uploaded files in a folder of this test, apart from those of parallel tests."""
    default = settings.STORAGES["default"]
    settings.STORAGES = settings.STORAGES | {"default": default | {"OPTIONS": {"location": str(tmp_path)}}}
    return tmp_path


def test_a_refused_file_leaves_nothing_on_disk(
    deployment: Deployment, outsider: User, dba: User, own_files: Path
) -> None:
    def refuse(*_: object) -> None:
        raise Refusal("No.")

    with pytest.raises(NotAllowed):
        item(deployment, "Server").add_proof(outsider, "file", file=SimpleUploadedFile("a.txt", b"a"))
    with hooks.record_changed.connected(refuse), pytest.raises(Refusal, match="No"):
        item(deployment, "Server").add_proof(dba, "file", file=SimpleUploadedFile("a.txt", b"a"))
    assert not [path for path in own_files.rglob("*") if path.is_file()]
    assert not item(deployment, "Server").proofs.exists()
    proof = item(deployment, "Server").add_proof(dba, "file", file=SimpleUploadedFile("a.txt", b"a"))
    assert (own_files / str(proof.file.name)).is_file()


# --- States of the deployment -------------------------------------------------------------------------


def test_approved_items_are_frozen_after_the_beginning(deployment: Deployment, dba: User) -> None:
    Deployment.objects.filter(pk=deployment.pk).update(state="deploying")
    with pytest.raises(Refusal, match="items that the first gate approved can no longer change"):
        item(deployment, "Server").complete(dba)
    item(deployment, "Looked").complete(dba)


def test_nothing_changes_in_a_closed_deployment(deployment: Deployment, dba: User) -> None:
    Deployment.objects.filter(pk=deployment.pk).update(state="closed")
    with pytest.raises(Refusal, match="is closed, so it can no longer change"):
        item(deployment, "Reviewed").complete(dba)


def test_every_change_of_an_item_calls_handlers_with_its_stage(deployment: Deployment, dba: User) -> None:
    received: list[tuple[str, str]] = []

    def handler(_deployment: Deployment, _by: object, what: str, stage: str) -> None:
        received.append((what, stage))

    with hooks.record_changed.connected(handler):
        checklist_item = item(deployment, "Server")
        checklist_item.complete(dba)
        checklist_item.undo(dba)
        checklist_item.waive(dba, "Because.")
        checklist_item.unwaive(dba)
        checklist_item.add_proof(dba, "note", text="Seen.")
        item(deployment, "Looked").complete(dba)
    assert received == [
        ("“Server is there” completed", "pre"),
        ("“Server is there” reopened", "pre"),
        ("“Server is there” waived", "pre"),
        ("“Server is there” no longer waived", "pre"),
        ("“Server is there” note added", "pre"),
        ("“Looked at the log” completed", "deploy"),
    ]


# --- Sections -----------------------------------------------------------------------------------------


def test_a_section_is_completed_with_one_note(deployment: Deployment, qa_lead: User, dba: User) -> None:
    section = Section.objects.get(title="Groundwork")
    assert [str(i) for i in section.complete_open(qa_lead, "All seen.")] == ["Anybody checks this"]
    assert [str(i) for i in section.complete_open(dba, "All seen.")] == [
        "Server is there",
        "Pool > 80%",
        "Disk < 20%",
    ]
    assert item(deployment, "Thresholds").state == "done"
    assert item(deployment, "Papers").state == "open"
    assert item(deployment, "Connection").state == "open"
    with pytest.raises(Refusal, match="has no open items that can be completed together"):
        section.complete_open(dba, "Again.")


def test_the_command_line_may_complete_items(deployment: Deployment) -> None:
    checklist_item = item(deployment, "Server")
    checklist_item.complete(MACHINE)
    assert (checklist_item.completions.get().by, checklist_item.completions.get().by_name) == (None, "test")
