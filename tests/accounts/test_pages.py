"""My account, people, and the audit log, as pages."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.utils import timezone

from deployctl import audit
from deployctl.accounts.models import SignIn, User
from deployctl.accounts.roles import Permission
from deployctl.accounts.testing import enroll, sign_in
from deployctl.audit import Action, Machine
from deployctl.audit.models import Entry, Verification

pytestmark = pytest.mark.urls("tests.accounts.pages")
SMTP = "django.core.mail.backends.smtp.EmailBackend"


def told(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


@pytest.fixture
def office(administrator: User) -> Client:
    client = Client()
    sign_in(client, administrator)
    return client


def test_my_account_keeps_what_i_change(client: Client, viewer: User) -> None:
    sign_in(client, viewer)
    assert "Recovery codes left" in client.get("/account/").content.decode()
    form = {"name": "Vi Ewing", "phone": "+1 2", "timezone": "Asia/Tokyo"}
    assert client.post("/account/", form)["Location"] == "/account/"
    viewer.refresh_from_db()
    assert (viewer.phone, viewer.timezone) == ("+1 2", "Asia/Tokyo")


def test_my_account_says_what_is_wrong(client: Client, viewer: User) -> None:
    sign_in(client, viewer)
    answer = client.post("/account/", {"name": "", "phone": "", "timezone": "Nowhere"})
    assert answer.status_code == 422
    assert "field--invalid" in answer.content.decode()


def test_who_has_no_password_is_told_so_where_it_would_be_changed(client: Client, viewer: User) -> None:
    viewer.set_unusable_password()
    viewer.save()
    sign_in(client, viewer)
    for answer in (client.get("/account/password/change/"), client.post("/account/password/change/")):
        assert answer.status_code == 409
        assert "You have no password here" in answer.content.decode()


def test_few_recovery_codes_are_warned_of(client: Client, dba: User) -> None:
    sign_in(client, dba)
    assert "Make new ones before" not in client.get("/account/").content.decode()
    for code in dba.recovery_codes.all()[2:]:
        dba.recovery_codes.filter(pk=code.pk).update(used_at=timezone.now())
    assert "Only 2 recovery codes left" in client.get("/account/").content.decode()


def test_people_are_listed_for_administrators_only(office: Client, dba: User, viewer: User) -> None:
    enroll(dba)
    body = office.get("/people/").content.decode()
    assert "Dana Baker" in body
    assert "set up" in body
    client = Client()
    sign_in(client, viewer)
    for url in ["/people/", "/people/new/", f"/people/{dba.pk}/"]:
        assert client.get(url).status_code == 403


def test_a_person_is_added_with_a_password_shown_once(office: Client) -> None:
    form = {"email": "nell@example.org", "name": "Nell New", "permissions": ["operator"]}
    body = office.post("/people/new/", form).content.decode()
    password = re.search(r'id="temporary-password">([^<]+)<', body).group(1)  # type: ignore[union-attr]
    added = User.objects.get(email="nell@example.org")
    assert added.check_password(password)
    assert added.may(Permission.OPERATOR)
    assert password not in office.get(f"/people/{added.pk}/").content.decode()


def test_a_person_who_is_there_already_is_not_added(office: Client, dba: User) -> None:
    answer = office.post("/people/new/", {"email": dba.email.upper(), "name": "Again"})
    assert answer.status_code == 422
    assert "already" in answer.content.decode()


def test_inviting_is_offered_only_where_mail_can_be_sent(office: Client, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    assert "invitation" not in office.get("/people/new/").content.decode()
    settings.EMAIL_BACKEND = SMTP
    assert "invitation" in office.get("/people/new/").content.decode()


def test_an_invited_person_chooses_a_password(
    office: Client, client: Client, settings: Any, mailoutbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployctl.accounts.invitations.can_send", lambda: True)
    form = {"email": "nell@example.org", "name": "Nell New", "invite": "on"}
    answer = office.post("/people/new/", form)
    added = User.objects.get(email="nell@example.org")
    assert answer["Location"] == f"/people/{added.pk}/"
    assert not added.has_usable_password()
    [mail] = mailoutbox
    link = re.search(r"http://testserver(\S+)", mail.body).group(1)  # type: ignore[union-attr]
    new = "another horse, another staple"
    client.post(client.get(link)["Location"], {"password1": new, "password2": new})
    added.refresh_from_db()
    assert added.check_password(new)
    assert Entry.objects.filter(action="invitation.sent").exists()


def test_a_mail_server_that_refuses_is_told(office: Client, dba: User, settings: Any) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = SMTP, "127.0.0.1", 1
    answer = office.post(f"/people/{dba.pk}/invitation/")
    assert "could not be sent" in told(answer)
    assert not Entry.objects.filter(action="invitation.sent").exists()


def test_permissions_become_as_ticked(office: Client, dba: User) -> None:
    office.post(f"/people/{dba.pk}/permissions/", {"permissions": ["administrator", "operator"]})
    assert set(dba.grants.values_list("permission", flat=True)) == {"administrator", "operator"}
    assert office.post(f"/people/{dba.pk}/permissions/", {"permissions": ["god"]}).status_code == 422


def test_the_only_administrator_is_told_why_not(office: Client, administrator: User) -> None:
    answer = office.post(f"/people/{administrator.pk}/permissions/", {"permissions": ["operator"]})
    assert answer.status_code == 409
    assert "only administrator left. Nothing was changed." in answer.content.decode()
    assert administrator.permissions == {"administrator"}


def test_a_person_is_disabled_and_let_in_again(office: Client, dba: User) -> None:
    assert office.post(f"/people/{dba.pk}/suspension/")["Location"] == f"/people/{dba.pk}/"
    dba.refresh_from_db()
    assert not dba.is_active
    assert "Let them in again" in office.get(f"/people/{dba.pk}/").content.decode()
    office.post(f"/people/{dba.pk}/suspension/", {"_method": "DELETE"})
    dba.refresh_from_db()
    assert dba.is_active


def test_a_lost_factor_is_taken_away_from_their_page(office: Client, dba: User, administrator: User) -> None:
    enroll(dba)
    url = f"/people/{dba.pk}/factor/"
    assert office.post(url, {"_method": "DELETE"}).status_code == 422
    office.post(url, {"_method": "DELETE", "reason": "called back"})
    assert not dba.has_second_factor
    own = office.post(f"/people/{administrator.pk}/factor/", {"_method": "DELETE", "reason": "x"})
    assert own.status_code == 409


def test_changing_people_asks_for_a_fresh_code(office: Client, dba: User) -> None:
    SignIn.objects.update(code_given_at=timezone.now() - dt.timedelta(hours=1))
    answer = office.post(f"/people/{dba.pk}/suspension/")
    assert answer["Location"].startswith("/account/step-up/")
    dba.refresh_from_db()
    assert dba.is_active


def test_the_contact_of_a_person_is_kept(office: Client, dba: User) -> None:
    form = {"name": "Dana Baker", "phone": "+1", "timezone": "UTC"}
    assert office.post(f"/people/{dba.pk}/", form).status_code == 303
    assert "+1" in office.get("/people/").content.decode()


def numbers(answer: Any) -> list[int]:
    return [int(number) for number in re.findall(r'id="entry-(\d+)"', answer.content.decode())]


def test_the_audit_log_is_filtered(office: Client, administrator: User, dba: User) -> None:
    audit.append(Action.ITEM_WAIVED, by=dba, subject=dba, deployment_id=7, data={"reason": "not here"})
    last = Entry.objects.first()
    assert numbers(office.get("/audit/"))[0] == last.sequence
    for query in [
        "action=item.",
        "action=item.waived",
        f"person={dba.pk}",
        "deployment=7",
        f"person={dba.pk}&action=item.waived&subject=dana",
    ]:
        assert numbers(office.get(f"/audit/?{query}")) == [last.sequence], query
    assert numbers(office.get("/audit/?until=2001-01-01")) == []
    day = timezone.localdate(last.at)
    assert last.sequence in numbers(office.get(f"/audit/?since={day}&until={day}"))
    assert "not here" in office.get("/audit/?action=item.").content.decode()


@pytest.mark.parametrize(
    "query",
    [
        *("since=never", "since=0001-01-01", "until=9999-12-31", "person=999999", "deployment=-1"),
        "action=x.y",
    ],
)
def test_a_filter_that_means_nothing_says_so_and_shows_nothing(office: Client, query: str) -> None:
    answer = office.get(f"/audit/?{query}")
    assert (answer.status_code, numbers(answer)) == (422, [])


@pytest.mark.parametrize(
    "query", ["before=zero", f"deployment={'9' * 30}", "before=4711", f"after={'9' * 30}"]
)
def test_a_number_that_nothing_has_is_no_defect(office: Client, query: str) -> None:
    assert office.get(f"/audit/?{query}").status_code == 200


def test_the_audit_log_has_pages(office: Client, dba: User) -> None:
    for number in range(60):
        audit.append(Action.ITEM_COMPLETED, by=dba, data={"number": number})
    first = numbers(office.get("/audit/?action=item."))
    assert len(first) == 50
    assert len(numbers(office.get(f"/audit/?action=item.&before={first[-1]}"))) == 10


def test_what_is_recorded_is_shown_as_text(office: Client, dba: User) -> None:
    audit.append(Action.ITEM_WAIVED, by=dba, data={"<b>": "<script>alert(1)</script>"})
    assert "<script>alert" not in office.get("/audit/").content.decode()


def test_the_chain_is_verified_from_the_page(office: Client) -> None:
    assert "not been verified yet" in office.get("/audit/").content.decode()
    assert office.post("/audit/verification/").status_code == 303
    assert "Intact" in office.get("/audit/").content.decode()
    fragment = office.post("/audit/verification/", headers={"HX-Request": "true"}).content.decode()
    assert fragment.strip().startswith("<section")
    assert Verification.objects.count() == 2


def test_a_broken_chain_is_shown_with_its_first_broken_entry(office: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only")
        cursor.execute("UPDATE audit_entry SET subject = 'x' WHERE sequence = 1")
        cursor.execute("ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_append_only")
    office.post("/audit/verification/")
    assert "Entry 1 was changed" in office.get("/audit/").content.decode()


def test_the_audit_log_is_for_approvers(viewer: User, cto: User) -> None:
    for who, status in [(viewer, 403), (cto, 200)]:
        client = Client()
        sign_in(client, who)
        assert client.get("/audit/").status_code == status


def test_the_navigation_offers_what_one_may_open(office: Client, viewer: User) -> None:
    assert 'href="/people/"' in office.get("/account/").content.decode()
    client = Client()
    sign_in(client, viewer)
    body = client.get("/account/").content.decode()
    assert 'href="/people/"' not in body
    assert 'href="/audit/"' not in body


def test_no_page_needs_an_inline_style_or_script(office: Client, dba: User) -> None:
    pages = ["/account/", "/account/factor/", "/people/", "/people/new/", f"/people/{dba.pk}/", "/audit/"]
    for url in [*pages, "/account/step-up/", "/account/password/change/"]:
        body = office.get(url, follow=True).content.decode()
        assert not re.search(r"\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=|<style", body), url


def test_an_unknown_machine_is_no_link(office: Client) -> None:
    audit.append(Action.ITEM_COMPLETED, by=Machine("worker"))
    assert "worker" in office.get("/audit/").content.decode()
