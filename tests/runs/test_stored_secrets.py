"""Stored secrets: encrypted, replaced, rotated, removed, never shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from django.test import Client

from deployctl.accounts.models import User
from deployctl.audit import Machine
from deployctl.audit.models import Entry
from deployctl.cli.target import target as target_command
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from deployctl.runs.models import StoredSecret, Target
from deployctl.secrets import SecretError, resolve

SYSTEM = Machine("test")
VALUE = "hunter2 pässword"
SignedIn = Callable[..., Client]
OLD, NEW = "o" * 40, "n" * 40


def store(target: Target, name: str = "ADMIN_PASSWORD", value: str = VALUE) -> StoredSecret:
    return StoredSecret.store(target, name, value, by=SYSTEM)


def test_a_value_is_stored_encrypted_and_read_by_its_reference(target: Target) -> None:
    kept = store(target, value=VALUE + "\n")

    assert kept.reference == "stored:shop/ADMIN_PASSWORD"
    assert resolve(kept.reference).reveal() == VALUE
    assert target.secret("ADMIN_PASSWORD").reveal() == VALUE
    assert VALUE not in StoredSecret.objects.get().token
    assert not any("hunter2" in str(entry.data) for entry in Entry.objects.all())
    assert Entry.objects.filter(action="target.secret_stored").count() == 1


def test_a_value_copied_to_another_row_cannot_be_decrypted(target: Target) -> None:
    store(target, "ONE")
    store(target, "OTHER")
    StoredSecret.objects.filter(name="shop/OTHER").update(
        token=StoredSecret.objects.get(name="shop/ONE").token
    )

    with pytest.raises(SecretError, match="shop/OTHER can't be decrypted"):
        resolve("stored:shop/OTHER")


def test_a_new_value_replaces_the_earlier_one(target: Target) -> None:
    store(target)
    store(target, value="another")

    assert target.secret("ADMIN_PASSWORD").reveal() == "another"
    assert StoredSecret.objects.count() == 1


def test_keys_are_rotated_without_losing_a_value(target: Target, settings: Any) -> None:
    settings.DEPLOYCTL_FIELD_KEY = OLD
    store(target)
    settings.DEPLOYCTL_FIELD_KEY = f"{NEW},{OLD}"
    assert target.secret("ADMIN_PASSWORD").reveal() == VALUE
    assert StoredSecret.rotate(by=SYSTEM) == 1

    settings.DEPLOYCTL_FIELD_KEY = NEW
    assert target.secret("ADMIN_PASSWORD").reveal() == VALUE


def test_a_missing_key_is_reported_and_rotation_changes_nothing(target: Target, settings: Any) -> None:
    settings.DEPLOYCTL_FIELD_KEY = OLD
    token = store(target).token
    settings.DEPLOYCTL_FIELD_KEY = NEW

    with pytest.raises(SecretError, match="Add that key after the current one"):
        target.secret("ADMIN_PASSWORD")
    with pytest.raises(SecretError, match="Add that key after the current one"):
        StoredSecret.rotate(by=SYSTEM)
    assert StoredSecret.objects.get().token == token


def test_invalid_values_are_not_stored(target: Target, dba: User) -> None:
    for value in ("", "\n", "a\0b", "x" * 70_000):
        with pytest.raises(InvalidInput, match="Nothing was stored"):
            store(target, value=value)
    with pytest.raises(InvalidInput, match="isn't a valid secret name"):
        store(target, name="no/slash")
    with pytest.raises(NotAllowed):
        StoredSecret.store(target, "NAME", VALUE, by=dba)
    assert not StoredSecret.objects.exists()
    assert not target.secrets.exists()


@pytest.mark.parametrize("reference", ["stored:x", "stored:shop/", "stored:shop/a b", "stored:shop/A\n"])
def test_a_reference_needs_a_target_and_a_name(reference: str) -> None:
    with pytest.raises(SecretError, match="stored: must be followed by a target and a name"):
        resolve(reference)


def test_the_error_for_a_missing_value_says_how_to_store_it(db: Any) -> None:
    with pytest.raises(SecretError, match="target secret TARGET NAME --stdin"):
        resolve("stored:shop/NOWHERE")


def test_removing_a_secret_removes_its_value_unless_it_is_in_use(target: Target) -> None:
    store(target)
    StoredSecret.remove(target, "ADMIN_PASSWORD", by=SYSTEM)
    assert not StoredSecret.objects.exists()

    kept = store(target, "DATABASE_URL", "postgresql://app:pw@h/shop")
    target.edit(
        environment=target.environment,
        connection_reference=kept.reference,
        by=SYSTEM,
        description="",
        project_folder="",
    )
    assert target.spec().password == "pw"
    with pytest.raises(Refusal, match="connection reference first"):
        StoredSecret.remove(target, "DATABASE_URL", by=SYSTEM)


def test_the_page_stores_a_value_and_never_shows_it(
    target: Target, administrator: User, signed_in: SignedIn
) -> None:
    browser = signed_in(administrator)
    answer = browser.post(
        "/targets/shop/stored-secrets", {"name": "API_KEY", "value": VALUE}, follow=True
    ).text

    assert "stored:shop/API_KEY" in answer
    assert "hunter2" not in answer
    refused = browser.post("/targets/shop/stored-secrets", {"name": "no way", "value": VALUE})
    assert refused.status_code == 422
    assert "hunter2" not in refused.text
    browser.post("/targets/shop/secrets/API_KEY", {"_method": "DELETE"})
    assert not StoredSecret.objects.exists()


def test_the_command_stores_the_value_from_standard_input(target: Target) -> None:
    def invoke(*arguments: str, **options: Any) -> Any:
        return CliRunner().invoke(target_command, arguments, **options)

    stored = invoke("secret", "shop", "API_KEY", "--stdin", input=VALUE + "\n")
    assert stored.output == "shop now reads API_KEY from stored:shop/API_KEY.\n"
    assert target.secret("API_KEY").reveal() == VALUE
    assert "1 stored secret " in invoke("rotate-secrets").output
    assert "either a reference or --stdin" in invoke("secret", "shop", "API_KEY").output
    assert "either a reference or --stdin" in invoke("secret", "shop", "A", "env:A", "--stdin").output
