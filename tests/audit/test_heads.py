"""Signed heads in anchor stores detect changes that the chain alone can't."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from deployctl import audit
from deployctl.audit import Action, Machine, anchor_stores, signed_statements, signing_keys, tasks
from deployctl.audit.models import Entry, SignedHead, Verification
from deployctl.errors import DeployctlError, Refusal

TEST = Machine("test")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An anchor store."""
    monkeypatch.setattr(settings, "DEPLOYCTL_HEADS", [tmp_path.as_uri()])
    return tmp_path


@pytest.fixture
def chain(db: Any) -> None:
    grow(6)


def grow(count: int) -> None:
    for number in range(count):
        audit.append(Action.PERSON_EDITED, by=TEST, data={"number": number})


def signed_by_another(text: str) -> str:
    """Return the same head, signed with another key."""
    statement = {name: value for name, value in json.loads(text).items() if name != "signature"}
    return json.dumps(
        signed_statements.sign(statement, signed_statements.read_private(signed_statements.new_key()))
    )


def files_in(folder: Path) -> list[Path]:
    return sorted((folder / anchor_stores.FOLDER).iterdir())


def cut_after(sequence: int) -> None:
    """Delete the entries after this one, which only the owner of the table can do."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only")
        cursor.execute("DELETE FROM audit_entry WHERE sequence > %s", [sequence])
        cursor.execute("ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_append_only")


def test_the_head_is_signed_and_written_to_the_store(chain: None, folder: Path) -> None:
    tasks.sign_head()
    tasks.sign_head()
    [file] = files_in(folder)
    statement = json.loads(file.read_bytes())
    assert signed_statements.has_valid_signature(statement)
    assert statement["public_key"] == signing_keys.public_key()
    assert (statement["sequence"], statement["hash"]) == (6, Entry.objects.get(sequence=6).hash)
    head = SignedHead.objects.get()
    assert head.exported_to == str(folder)


def test_verification_compares_with_anchored_heads(chain: None, folder: Path) -> None:
    tasks.sign_head()
    tasks.verify_chain()
    stored = Verification.objects.get()
    assert (stored.ok, stored.heads, stored.problems, stored.by_name) == (True, 1, [], "scheduler")


def test_a_cut_off_end_is_detected_by_an_anchored_head(chain: None, folder: Path) -> None:
    tasks.sign_head()
    cut_after(4)
    result = Verification.objects.perform(by=TEST)
    assert (result.ok, result.first_broken_sequence) == (False, 5)
    assert "entry 6 was the head earlier" in result.reason


def test_a_rewritten_chain_is_detected(chain: None, folder: Path) -> None:
    tasks.sign_head()
    cut_after(0)
    grow(9)
    result = Verification.objects.perform(by=TEST)
    assert (result.ok, result.first_broken_sequence) == (False, 6)
    assert "rewritten" in result.reason


def test_an_older_head_detects_a_chain_that_was_rewritten_and_signed(chain: None, folder: Path) -> None:
    tasks.sign_head()
    cut_after(0)
    grow(9)
    tasks.sign_head()
    result = Verification.objects.perform(by=TEST)
    assert (result.ok, result.heads, result.first_broken_sequence) == (False, 2, 6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace('"sequence":6', '"sequence":5'), "was changed"),
        (lambda text: text[:-30], "isn't a signed head"),
        (lambda _text: "x" * 20_000, "isn't a signed head"),
        (signed_by_another, "signed with another key"),
    ],
    ids=["edited", "cut", "too large", "signed over"],
)
def test_a_foreign_head_is_reported_and_not_trusted(
    chain: None, folder: Path, change: Any, words: str
) -> None:
    tasks.sign_head()
    [file] = files_in(folder)
    file.write_text(change(file.read_text()))
    result = Verification.objects.perform(by=TEST)
    assert (result.ok, result.heads) == (True, 0)
    assert words in result.problems[0]


def test_heads_of_a_configured_former_key_count(
    chain: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks.sign_head()
    former = signing_keys.public_key()
    monkeypatch.setattr(settings, "DEPLOYCTL_SIGNING_KEY", signed_statements.new_key())
    assert "signed with another key" in Verification.objects.perform(by=TEST).problems[0]
    monkeypatch.setattr(settings, "DEPLOYCTL_FORMER_KEYS", [former])
    assert Verification.objects.perform(by=TEST).heads == 1


def test_a_missing_store_is_reported_and_the_chain_is_still_verified(
    chain: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "DEPLOYCTL_HEADS", ["file:///nonexistent/heads"])
    result = Verification.objects.perform(by=TEST)
    assert result.ok
    assert "Check that its disk is mounted." in result.problems[0]
    with pytest.raises(DeployctlError, match="Check that its disk is mounted"):
        tasks.sign_head()
    assert SignedHead.objects.get().exported_at is None


def test_an_unusable_setting_is_reported(chain: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DEPLOYCTL_HEADS", ["ftp://example.org/heads"])
    assert "DEPLOYCTL_HEADS is invalid" in Verification.objects.perform(by=TEST).problems[0]


def test_without_a_store_the_head_is_signed_but_not_exported(chain: None) -> None:
    tasks.sign_head()
    with pytest.raises(DeployctlError, match="Set DEPLOYCTL_HEADS to an anchor store"):
        anchor_stores.export(SignedHead.objects.get())


def test_an_empty_chain_has_no_head(db: Any) -> None:
    with pytest.raises(Refusal, match="no entries yet"):
        SignedHead.objects.sign()


def test_without_a_key_nothing_is_signed(
    chain: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(settings, "DEPLOYCTL_SIGNING_KEY", "")
    monkeypatch.setattr(settings, "DEPLOYCTL_DATA", tmp_path)
    with pytest.raises(signing_keys.SigningKeyMissing, match="openssl genpkey"):
        SignedHead.objects.sign()
    (tmp_path / signing_keys.FILE_NAME).write_text("no key")
    with pytest.raises(signing_keys.SigningKeyMissing, match="is unusable"):
        SignedHead.objects.sign()
    (tmp_path / signing_keys.FILE_NAME).write_text(signed_statements.new_key())
    assert SignedHead.objects.sign().sequence == 6


def test_a_public_key_is_read_from_pem_and_hexadecimal() -> None:
    public = signed_statements.public_of(signed_statements.read_private(signed_statements.new_key()))
    assert (
        signed_statements.read_public(signed_statements.public_pem(public))
        == signed_statements.read_public(public.upper())
        == public
    )
    with pytest.raises(signed_statements.UnusableKey):
        signed_statements.read_public("nonsense")
