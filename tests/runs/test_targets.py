"""Add and edit targets: what is accepted, refused and never stored."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployctl.accounts.models import User
from deployctl.audit import Action, Machine
from deployctl.audit.models import Entry
from deployctl.errors import DeployctlError, InvalidInput, NotAllowed, Refusal
from deployctl.runs.models import Run, Target
from deployctl.secrets import SecretError

SYSTEM = Machine("test")


def add(**changes: Any) -> Target:
    facts = {"name": "shop", "environment": "staging", "connection_reference": "env:SHOP_URL", "by": SYSTEM}
    return Target.add(**{**facts, **changes})


def test_a_target_stores_a_reference_and_never_the_url(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", "postgresql://owner:secret-word@localhost:5433/shop")
    target = add()

    assert target.spec().password == "secret-word"
    stored = [str(value) for value in Target.objects.values().get().values()]
    stored += [str(entry.data) for entry in Entry.objects.all()]
    assert not any("secret-word" in text for text in stored)
    assert Entry.objects.filter(action=Action.TARGET_ADDED).count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "New Shop"},
        {"name": "../etc"},
        {"name": "new"},
        {"name": "x" * 61},
        {"environment": "moon"},
        {"connection_reference": "postgresql://owner:secret-word@localhost/shop"},
        {"connection_reference": "env:"},
        {"connection_reference": "file:/etc/passwd"},
        {"connection_reference": "file:relative"},
        {"project_folder": "/etc"},
        {"project_folder": "relative"},
        {"project_folder": "/nowhere/at/all"},
    ],
)
def test_invalid_settings_are_refused_and_nothing_is_stored(db: Any, changes: dict[str, str]) -> None:
    with pytest.raises(DeployctlError) as refused:
        add(**changes)

    assert "secret-word" not in str(refused.value)
    assert not Target.objects.exists()


def test_a_link_out_of_the_secrets_folder_is_refused_when_read(
    db: Any, secret_file: Callable[[str], str]
) -> None:
    reference = secret_file("postgresql://owner:word@localhost/shop")
    target = add(connection_reference=reference)
    path = Path(reference.removeprefix("file:"))
    path.unlink()
    path.symlink_to("/etc/passwd")

    with pytest.raises(InvalidInput, match="in an allowed folder for secrets"):
        target.spec()


def test_a_project_folder_must_be_in_an_allowed_folder(db: Any) -> None:
    folder = Path(os.environ["TEST_FOLDER"]) / "project"
    folder.mkdir(exist_ok=True)

    assert add(project_folder=str(folder)).project_folder == str(folder)
    assert add(name="other").project() is None


def test_names_are_unique_case_insensitively(db: Any) -> None:
    add()
    with pytest.raises(Refusal, match="already"):
        add()
    assert Target.objects.by_name("SHOP").name == "shop"
    with pytest.raises(InvalidInput, match="Known targets: shop"):
        Target.objects.by_name("shoe")


def test_only_administrators_manage_targets(target: Target, dba: User, administrator: User) -> None:
    with pytest.raises(NotAllowed):
        add(name="other", by=dba)
    with pytest.raises(NotAllowed):
        target.archive(by=dba)
    with pytest.raises(NotAllowed):
        target.assign(dba, "dba", by=dba)
    with pytest.raises(NotAllowed):
        target.set_secret_reference("WORD", "env:WORD", by=dba)
    target.archive(by=administrator)


def test_people_have_roles_for_a_target(
    target: Target, dba: User, devops_lead: User, administrator: User
) -> None:
    for _ in range(2):
        target.assign(dba, "dba", by=administrator)
    target.assign(devops_lead, "dba", by=administrator)
    assert target.role_holders("dba") == [dba, devops_lead]
    with pytest.raises(InvalidInput):
        target.assign(dba, "emperor", by=administrator)

    target.unassign(devops_lead, "dba", by=administrator)
    target.unassign(devops_lead, "dba", by=administrator)
    assert target.role_holders("dba") == [dba]
    actions = Entry.objects.values_list("action", flat=True)
    assert list(actions).count(Action.TARGET_ROLE_ASSIGNED) == 2
    assert list(actions).count(Action.TARGET_ROLE_REMOVED) == 1


def test_secrets_are_read_when_they_are_needed(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SecretError, match="has no secret WORD"):
        target.secret("WORD")
    target.set_secret_reference("WORD", "env:SHOP_WORD", by=SYSTEM)
    with pytest.raises(SecretError, match="SHOP_WORD"):
        target.secret("WORD")
    monkeypatch.setenv("SHOP_WORD", "hunter22")
    assert target.secret("WORD").reveal() == "hunter22"
    with pytest.raises(InvalidInput):
        target.set_secret_reference("TWO WORDS", "env:WORD", by=SYSTEM)

    target.set_secret_reference("WORD", "", by=SYSTEM)
    assert not target.secrets.exists()


def test_busy_targets_cannot_be_archived_nor_archived_ones_used(target: Target) -> None:
    run = Run.request(target=target, kind="sleep", params={}, by=SYSTEM)
    with pytest.raises(Refusal, match="hasn't ended"):
        target.archive(by=SYSTEM)
    run.cancel(by=SYSTEM)
    target.archive(by=SYSTEM)

    with pytest.raises(Refusal, match="archived"):
        Run.request(target=target, kind="look", params={}, by=SYSTEM)
    with pytest.raises(Refusal, match="already archived"):
        target.archive(by=SYSTEM)
    assert not Target.objects.current().exists()


def test_a_new_connection_reference_clears_the_identity(target: Target) -> None:
    assert target.check_identity("7", 5)
    assert not target.check_identity("7", 6)
    facts = {"environment": "staging", "description": "", "project_folder": ""}
    target.edit(connection_reference=target.connection_reference, **facts, by=SYSTEM)
    assert not target.check_identity("7", 6)

    target.edit(connection_reference="env:ELSEWHERE", **facts, by=SYSTEM)
    assert target.check_identity("7", 6)
