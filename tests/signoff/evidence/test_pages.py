"""The pages that export, download and verify evidence."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from checklists.models import Deployment
from deployctl.accounts.models import User
from deployctl.audit import Action, signing_keys
from deployctl.audit.models import Entry
from signoff.models import EvidencePack
from signoff.verifier import pack as packs


@pytest.fixture
def client(viewer: User, signed_in: Any) -> Client:
    client: Client = signed_in(viewer)
    return client


def test_evidence_is_exported_and_downloaded_in_three_formats(
    signed: Deployment, client: Client, viewer: User
) -> None:
    assert "No evidence has been exported yet" in client.get(f"/deployments/{signed.pk}/evidence/").text
    assert client.post(f"/deployments/{signed.pk}/evidence/packs").status_code == 303
    exported = EvidencePack.objects.get()
    page = client.get(f"/deployments/{signed.pk}/evidence/").text
    assert ("Not final" in page, "Intact" in page, exported.digest in page) == (True, True, True)

    pack = client.get(f"/evidence/{exported.pk}.json")
    content = b"".join(pack.streaming_content)  # type: ignore[attr-defined]
    assert packs.verify(content, [signing_keys.public_key()]).ok
    assert client.get(f"/evidence/{exported.pk}.pdf").content.startswith(b"%PDF-")
    checklist = client.get(f"/evidence/{exported.pk}.md")
    assert exported.digest in checklist.text
    assert "attachment" in checklist.headers["Content-Disposition"]
    assert client.get(f"/evidence/{exported.pk}.exe").status_code == 404

    entries = Entry.objects.filter(action__startswith="evidence.").order_by("sequence")
    assert [(entry.action, entry.actor_name, entry.data.get("format")) for entry in entries] == [
        (Action.EVIDENCE_EXPORTED, viewer.name, None),
        *((Action.EVIDENCE_DOWNLOADED, viewer.name, kind) for kind in ("json", "pdf", "md")),
    ]


def test_a_damaged_or_missing_file_is_reported(pack: EvidencePack, client: Client) -> None:
    with pack.file.open("r+b") as stream:
        stream.seek(40)
        stream.write(b"X")
    response = client.post(f"/evidence/{pack.pk}/verification", follow=True)
    assert "is damaged" in response.text
    assert "Broken" in response.text
    for kind in ("pdf", "md"):
        rejected = client.get(f"/evidence/{pack.pk}.{kind}")
        assert (rejected.status_code, "is damaged and cannot be used" in rejected.text) == (409, True)
    pack.file.storage.delete(str(pack.file.name))
    assert "is missing from storage" in client.get(f"/evidence/{pack.pk}.json").text


def test_a_period_is_exported_from_the_targets_page(signed: Deployment, client: Client) -> None:
    response = client.post("/targets/shop/evidence/", {"since": "2020-01-01", "until": "2999-12-31"})
    assert b"".join(response.streaming_content).startswith(b"PK")  # type: ignore[attr-defined]
    nothing = client.post("/targets/shop/evidence/", {"since": "2001-01-01", "until": "2001-12-31"})
    assert (nothing.status_code, "No deployment of shop" in nothing.text) == (409, True)
    assert client.post("/targets/shop/evidence/", {"since": "never"}).status_code == 422


def test_a_broken_audit_chain_prevents_the_export(signed: Deployment, client: Client) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only")
        cursor.execute("UPDATE audit_entry SET actor_name = 'x' WHERE action = 'gate.signed'")
        cursor.execute("ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_append_only")
    response = client.post(f"/deployments/{signed.pk}/evidence/packs")
    assert (response.status_code, "audit chain is broken at entry" in response.text) == (409, True)
    assert not EvidencePack.objects.exists()
