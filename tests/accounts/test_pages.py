"""The pages My account, People and Audit."""

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


def messages_of(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


@pytest.fixture
def admin_client(administrator: User) -> Client:
    client = Client()
    sign_in(client, administrator)
    return client


def test_the_account_page_saves_changes(client: Client, viewer: User) -> None:
    sign_in(client, viewer)
    assert "Recovery codes left" in client.get("/account/").content.decode()
    form = {"name": "Vi Ewing", "phone": "+1 2", "timezone": "Asia/Tokyo"}
    assert client.post("/account/", form)["Location"] == "/account/"
    viewer.refresh_from_db()
    assert (viewer.phone, viewer.timezone) == ("+1 2", "Asia/Tokyo")


def test_the_account_page_shows_form_errors(client: Client, viewer: User) -> None:
    sign_in(client, viewer)
    response = client.post("/account/", {"name": "", "phone": "", "timezone": "Nowhere"})
    assert response.status_code == 422
    assert "field--invalid" in response.content.decode()


def test_people_without_a_password_cannot_change_it(client: Client, viewer: User) -> None:
    viewer.set_unusable_password()
    viewer.save()
    sign_in(client, viewer)
    for response in (client.get("/account/password/change/"), client.post("/account/password/change/")):
        assert response.status_code == 409
        assert "You don&#x27;t have a password here" in response.content.decode()


def test_the_account_page_warns_about_few_recovery_codes(client: Client, dba: User) -> None:
    sign_in(client, dba)
    assert "Generate new ones before" not in client.get("/account/").content.decode()
    for code in dba.recovery_codes.all()[2:]:
        dba.recovery_codes.filter(pk=code.pk).update(used_at=timezone.now())
    assert "Only 2 recovery codes left" in client.get("/account/").content.decode()


def test_only_administrators_see_the_list_of_people(admin_client: Client, dba: User, viewer: User) -> None:
    enroll(dba)
    body = admin_client.get("/people/").content.decode()
    assert "Dana Baker" in body
    assert "set up" in body
    client = Client()
    sign_in(client, viewer)
    for url in ["/people/", "/people/new/", f"/people/{dba.pk}/"]:
        assert client.get(url).status_code == 403


def test_a_new_persons_temporary_password_is_shown_once(admin_client: Client) -> None:
    form = {"email": "nell@example.org", "name": "Nell New", "permissions": ["operator"]}
    body = admin_client.post("/people/new/", form).content.decode()
    password = re.search(r'id="temporary-password">([^<]+)<', body).group(1)  # type: ignore[union-attr]
    added = User.objects.get(email="nell@example.org")
    assert added.check_password(password)
    assert added.may(Permission.OPERATOR)
    assert password not in admin_client.get(f"/people/{added.pk}/").content.decode()


def test_an_email_address_cannot_be_added_twice(admin_client: Client, dba: User) -> None:
    response = admin_client.post("/people/new/", {"email": dba.email.upper(), "name": "Again"})
    assert response.status_code == 422
    assert "already" in response.content.decode()


def test_invitations_are_offered_only_if_email_can_be_sent(admin_client: Client, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    assert "invitation" not in admin_client.get("/people/new/").content.decode()
    settings.EMAIL_BACKEND = SMTP
    assert "invitation" in admin_client.get("/people/new/").content.decode()


def test_an_invited_person_chooses_a_password(
    admin_client: Client, client: Client, settings: Any, mailoutbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployctl.accounts.invitations.can_send", lambda: True)
    form = {"email": "nell@example.org", "name": "Nell New", "invite": "on"}
    response = admin_client.post("/people/new/", form)
    added = User.objects.get(email="nell@example.org")
    assert response["Location"] == f"/people/{added.pk}/"
    assert not added.has_usable_password()
    [mail] = mailoutbox
    link = re.search(r"http://testserver(\S+)", mail.body).group(1)  # type: ignore[union-attr]
    new = "another horse, another staple"
    client.post(client.get(link)["Location"], {"password1": new, "password2": new})
    added.refresh_from_db()
    assert added.check_password(new)
    assert Entry.objects.filter(action="invitation.sent").exists()


def test_a_failure_of_the_mail_server_is_shown(admin_client: Client, dba: User, settings: Any) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = SMTP, "127.0.0.1", 1
    response = admin_client.post(f"/people/{dba.pk}/invitation/")
    assert "couldn't be sent" in messages_of(response)
    assert not Entry.objects.filter(action="invitation.sent").exists()


def test_the_form_sets_permissions(admin_client: Client, dba: User) -> None:
    admin_client.post(f"/people/{dba.pk}/permissions/", {"permissions": ["administrator", "operator"]})
    assert set(dba.grants.values_list("permission", flat=True)) == {"administrator", "operator"}
    assert admin_client.post(f"/people/{dba.pk}/permissions/", {"permissions": ["god"]}).status_code == 422


def test_the_only_administrator_keeps_the_permission(admin_client: Client, administrator: User) -> None:
    response = admin_client.post(f"/people/{administrator.pk}/permissions/", {"permissions": ["operator"]})
    assert response.status_code == 409
    assert "only active administrator. Nothing was changed." in response.content.decode()
    assert administrator.permissions == {"administrator"}


def test_an_administrator_disables_and_re_enables_an_account(admin_client: Client, dba: User) -> None:
    assert admin_client.post(f"/people/{dba.pk}/suspension/")["Location"] == f"/people/{dba.pk}/"
    dba.refresh_from_db()
    assert not dba.is_active
    assert "Re-enable account" in admin_client.get(f"/people/{dba.pk}/").content.decode()
    admin_client.post(f"/people/{dba.pk}/suspension/", {"_method": "DELETE"})
    dba.refresh_from_db()
    assert dba.is_active


def test_an_administrator_removes_a_lost_second_factor(
    admin_client: Client, dba: User, administrator: User
) -> None:
    enroll(dba)
    url = f"/people/{dba.pk}/factor/"
    assert admin_client.post(url, {"_method": "DELETE"}).status_code == 422
    admin_client.post(url, {"_method": "DELETE", "reason": "called back"})
    assert not dba.has_second_factor
    own = admin_client.post(f"/people/{administrator.pk}/factor/", {"_method": "DELETE", "reason": "x"})
    assert own.status_code == 409


def test_changing_people_requires_a_step_up(admin_client: Client, dba: User) -> None:
    SignIn.objects.update(code_given_at=timezone.now() - dt.timedelta(hours=1))
    response = admin_client.post(f"/people/{dba.pk}/suspension/")
    assert response["Location"].startswith("/account/step-up/")
    dba.refresh_from_db()
    assert dba.is_active


def test_an_administrator_edits_a_profile(admin_client: Client, dba: User) -> None:
    form = {"name": "Dana Baker", "phone": "+1", "timezone": "UTC"}
    assert admin_client.post(f"/people/{dba.pk}/", form).status_code == 303
    assert "+1" in admin_client.get("/people/").content.decode()


def numbers(response: Any) -> list[int]:
    return [int(number) for number in re.findall(r'id="entry-(\d+)"', response.content.decode())]


def test_the_audit_log_is_filtered(admin_client: Client, administrator: User, dba: User) -> None:
    audit.append(Action.ITEM_WAIVED, by=dba, subject=dba, deployment_id=7, data={"reason": "not here"})
    last = Entry.objects.first()
    assert numbers(admin_client.get("/audit/"))[0] == last.sequence
    for query in [
        "action=item.",
        "action=item.waived",
        f"person={dba.pk}",
        "deployment=7",
        f"person={dba.pk}&action=item.waived&subject=dana",
    ]:
        assert numbers(admin_client.get(f"/audit/?{query}")) == [last.sequence], query
    assert numbers(admin_client.get("/audit/?until=2001-01-01")) == []
    day = timezone.localdate(last.at)
    assert last.sequence in numbers(admin_client.get(f"/audit/?since={day}&until={day}"))
    assert "not here" in admin_client.get("/audit/?action=item.").content.decode()


@pytest.mark.parametrize(
    "query",
    [
        *("since=never", "since=0001-01-01", "until=9999-12-31", "person=999999", "deployment=-1"),
        "action=x.y",
    ],
)
def test_an_invalid_filter_shows_an_error_and_no_entries(admin_client: Client, query: str) -> None:
    response = admin_client.get(f"/audit/?{query}")
    assert (response.status_code, numbers(response)) == (422, [])


@pytest.mark.parametrize(
    "query", ["before=zero", f"deployment={'9' * 30}", "before=4711", f"after={'9' * 30}"]
)
def test_filters_with_unknown_numbers_are_accepted(admin_client: Client, query: str) -> None:
    assert admin_client.get(f"/audit/?{query}").status_code == 200


def test_the_audit_log_has_pages(admin_client: Client, dba: User) -> None:
    for number in range(60):
        audit.append(Action.ITEM_COMPLETED, by=dba, data={"number": number})
    first = numbers(admin_client.get("/audit/?action=item."))
    assert len(first) == 50
    assert len(numbers(admin_client.get(f"/audit/?action=item.&before={first[-1]}"))) == 10


def test_audit_data_is_escaped(admin_client: Client, dba: User) -> None:
    audit.append(Action.ITEM_WAIVED, by=dba, data={"<b>": "<script>alert(1)</script>"})
    assert "<script>alert" not in admin_client.get("/audit/").content.decode()


def test_the_audit_page_verifies_the_chain(admin_client: Client) -> None:
    assert "hasn't been verified yet" in admin_client.get("/audit/").content.decode()
    assert admin_client.post("/audit/verification/").status_code == 303
    assert "Intact" in admin_client.get("/audit/").content.decode()
    fragment = admin_client.post("/audit/verification/", headers={"HX-Request": "true"}).content.decode()
    assert fragment.strip().startswith("<section")
    assert Verification.objects.count() == 2


def test_a_broken_chain_is_shown_with_its_first_broken_entry(admin_client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only")
        cursor.execute("UPDATE audit_entry SET subject = 'x' WHERE sequence = 1")
        cursor.execute("ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_append_only")
    admin_client.post("/audit/verification/")
    assert "Entry 1 was changed" in admin_client.get("/audit/").content.decode()


def test_only_approvers_see_the_audit_log(viewer: User, cto: User) -> None:
    for who, status in [(viewer, 403), (cto, 200)]:
        client = Client()
        sign_in(client, who)
        assert client.get("/audit/").status_code == status


def test_the_navigation_shows_only_permitted_pages(admin_client: Client, viewer: User) -> None:
    assert 'href="/people/"' in admin_client.get("/account/").content.decode()
    client = Client()
    sign_in(client, viewer)
    body = client.get("/account/").content.decode()
    assert 'href="/people/"' not in body
    assert 'href="/audit/"' not in body


def test_pages_have_no_inline_styles_or_scripts(admin_client: Client, dba: User) -> None:
    pages = ["/account/", "/account/factor/", "/people/", "/people/new/", f"/people/{dba.pk}/", "/audit/"]
    for url in [*pages, "/account/step-up/", "/account/password/change/"]:
        body = admin_client.get(url, follow=True).content.decode()
        assert not re.search(r"\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=|<style", body), url


def test_a_machine_is_shown_as_actor(admin_client: Client) -> None:
    audit.append(Action.ITEM_COMPLETED, by=Machine("worker"))
    assert "worker" in admin_client.get("/audit/").content.decode()
