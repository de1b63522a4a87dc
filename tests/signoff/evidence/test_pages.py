"""Evidence in the browser: made, taken away, checked, and who did it."""

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
def browser(viewer: User, signed_in: Any) -> Client:
    made: Client = signed_in(viewer)
    return made


def test_evidence_is_exported_from_the_page_and_taken_away_in_three_forms(
    signed: Deployment, browser: Client, viewer: User
) -> None:
    assert "Nothing was exported yet" in browser.get(f"/deployments/{signed.pk}/evidence/").text
    assert browser.post(f"/deployments/{signed.pk}/evidence/packs").status_code == 303
    made = EvidencePack.objects.get()
    page = browser.get(f"/deployments/{signed.pk}/evidence/").text
    assert ("Not final" in page, "Intact" in page, made.digest in page) == (True, True, True)

    pack = browser.get(f"/evidence/{made.pk}.json")
    content = b"".join(pack.streaming_content)  # type: ignore[attr-defined]
    assert packs.verify(content, [signing_keys.public_key()]).ok
    assert browser.get(f"/evidence/{made.pk}.pdf").content.startswith(b"%PDF-")
    checklist = browser.get(f"/evidence/{made.pk}.md")
    assert made.digest in checklist.text
    assert "attachment" in checklist.headers["Content-Disposition"]
    assert browser.get(f"/evidence/{made.pk}.exe").status_code == 404

    acts = Entry.objects.filter(action__startswith="evidence.").order_by("sequence")
    assert [(entry.action, entry.actor_name, entry.data.get("form")) for entry in acts] == [
        (Action.EVIDENCE_EXPORTED, viewer.name, None),
        *((Action.EVIDENCE_DOWNLOADED, viewer.name, kind) for kind in ("json", "pdf", "md")),
    ]


def test_a_damaged_file_is_told_where_it_is_looked_at(pack: EvidencePack, browser: Client) -> None:
    with pack.file.open("r+b") as stream:
        stream.seek(40)
        stream.write(b"X")
    answer = browser.post(f"/evidence/{pack.pk}/verification", follow=True)
    assert "is damaged" in answer.text
    assert "Broken" in answer.text
    for kind in ("pdf", "md"):
        refused = browser.get(f"/evidence/{pack.pk}.{kind}")
        assert (refused.status_code, "nothing is made from it" in refused.text) == (409, True)
    pack.file.storage.delete(str(pack.file.name))
    assert "no longer where it was kept" in browser.get(f"/evidence/{pack.pk}.json").text


def test_a_period_is_exported_from_the_targets_page(signed: Deployment, browser: Client) -> None:
    answer = browser.post("/targets/shop/evidence/", {"since": "2020-01-01", "until": "2999-12-31"})
    assert b"".join(answer.streaming_content).startswith(b"PK")  # type: ignore[attr-defined]
    nothing = browser.post("/targets/shop/evidence/", {"since": "2001-01-01", "until": "2001-12-31"})
    assert (nothing.status_code, "No deployment of shop" in nothing.text) == (409, True)
    assert browser.post("/targets/shop/evidence/", {"since": "never"}).status_code == 422


def test_nothing_is_exported_over_a_broken_chain(signed: Deployment, browser: Client) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only")
        cursor.execute("UPDATE audit_entry SET actor_name = 'x' WHERE action = 'gate.signed'")
        cursor.execute("ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_append_only")
    answer = browser.post(f"/deployments/{signed.pk}/evidence/packs")
    assert (answer.status_code, "audit chain is broken at entry" in answer.text) == (409, True)
    assert not EvidencePack.objects.exists()
