"""Pages for administrators: filters, invitations, sessions, roles."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client, RequestFactory
from django.utils import timezone

from deployctl.accounts import denied_log, invitations
from deployctl.accounts.adapter import AccountAdapter
from deployctl.accounts.models import SignIn, User
from deployctl.accounts.testing import enroll, sign_in
from deployctl.audit import Action
from deployctl.audit.models import Entry
from deployctl.runs.models import TargetRole
from tests.accounts.authenticator import add_passkey, browser
from tests.checklists import factories

NEW = "another horse, another staple"


@pytest.fixture
def admin_client(administrator: User) -> Client:
    client = Client()
    sign_in(client, administrator)
    return client


def names(admin_client: Client, query: str) -> set[str]:
    page = admin_client.get(f"/people/?{query}").content.decode()
    return set(re.findall(r'data-label="Name"><a [^>]*>([^<]+)', page))


def test_people_are_filtered_by_text_permission_and_state(
    admin_client: Client, administrator: User, dba: User, cto: User, viewer: User
) -> None:
    enroll(dba)
    their_client = browser()
    sign_in(their_client, cto, second_factor=False)
    add_passkey(their_client, cto)
    viewer.disable(by=administrator)
    everybody = {"Ada Minster", "Dana Baker", "Cora Tolland", "Vi Ewing"}
    assert names(admin_client, "") == everybody
    assert names(admin_client, "words=dana") == {"Dana Baker"}
    assert names(admin_client, "words=TOLLAND@example") == {"Cora Tolland"}
    assert names(admin_client, "permission=operator") == {"Dana Baker"}
    assert names(admin_client, "state=disabled") == {"Vi Ewing"}
    assert names(admin_client, "state=active") == everybody - {"Vi Ewing"}
    assert names(admin_client, "state=without_factor") == set()
    dba.remove_second_factor(by=administrator, reason="Met in person.")
    assert names(admin_client, "state=without_factor") == {"Dana Baker"}
    assert names(admin_client, "words=nobody") == set()
    assert admin_client.get("/people/?state=odd").status_code == 422


@pytest.fixture
def invited(admin_client: Client, db: Any) -> User:
    admin_client.post("/people/new/", {"email": "nell@example.org", "name": "Nell New", "invite": "on"})
    nell: User = User.objects.get(email="nell@example.org")
    return nell


def follow(link: str) -> int:
    """Follow an invitation and set a password; return the status, which is 302 on success."""
    client = Client()
    response = client.get(link)
    if response.status_code != 302:
        return response.status_code
    return client.post(response["Location"], {"password1": NEW, "password2": NEW}).status_code


def test_an_invited_person_cannot_use_their_name_as_password(
    admin_client: Client, db: Any, mailoutbox: Any
) -> None:
    name = "Wilhelmina Vandersloot"
    admin_client.post("/people/new/", {"email": "w@example.org", "name": name, "invite": "on"})
    their_client = Client()
    form = their_client.get(links(mailoutbox)[0])["Location"]
    response = their_client.post(form, {"password1": name, "password2": name})
    assert "too similar to the name" in response.content.decode()


def links(mailoutbox: Any) -> list[str]:
    found = (re.search(r"http://testserver(\S+/password/reset/key/\S+)", mail.body) for mail in mailoutbox)
    return [match.group(1) for match in found if match]


def test_an_invitation_works_once(admin_client: Client, invited: User, mailoutbox: Any) -> None:
    [link] = links(mailoutbox)
    assert "Revoke invitation" in admin_client.get(f"/people/{invited.pk}/").content.decode()
    assert follow(link) == 302
    invited.refresh_from_db()
    assert invited.check_password(NEW)
    assert follow(link) == 200
    assert "Revoke invitation" not in admin_client.get(f"/people/{invited.pk}/").content.decode()


def test_a_new_invitation_invalidates_the_previous_one(
    admin_client: Client, invited: User, mailoutbox: Any
) -> None:
    admin_client.post(f"/people/{invited.pk}/invitation/")
    first, second = links(mailoutbox)
    assert follow(first) == 200
    assert follow(second) == 302


def test_a_revoked_invitation_no_longer_works(admin_client: Client, invited: User, mailoutbox: Any) -> None:
    admin_client.post(f"/people/{invited.pk}/invitation/", {"_method": "DELETE"})
    assert follow(links(mailoutbox)[0]) == 200
    invited.refresh_from_db()
    assert not invited.has_usable_password()
    assert Entry.objects.first().action == "invitation.revoked"
    again = admin_client.post(f"/people/{invited.pk}/invitation/", {"_method": "DELETE"})
    assert again.status_code == 409


def test_an_invitation_expires_after_three_days(
    invited: User, mailoutbox: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invitations.pending(invited) is not None
    assert invitations.lifetime() == dt.timedelta(days=3)
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert invitations.pending(invited) is None
    assert follow(links(mailoutbox)[0]) == 200


def test_sending_a_password_link_keeps_the_current_password(admin_client: Client, dba: User) -> None:
    before = dba.password
    admin_client.post(f"/people/{dba.pk}/invitation/")
    dba.refresh_from_db()
    assert dba.password == before


def test_an_invited_approver_must_set_up_a_second_factor(
    admin_client: Client, mailoutbox: Any, db: Any
) -> None:
    form = {"email": "nell@example.org", "name": "Nell New", "invite": "on", "permissions": ["approver"]}
    admin_client.post("/people/new/", form)
    follow(links(mailoutbox)[0])
    their_client = Client()
    their_client.post("/account/login/", {"login": "nell@example.org", "password": NEW})
    home = their_client.get("/").content.decode()
    assert "You don’t have a second factor yet" in home
    assert their_client.get("/audit/")["Location"].startswith("/account/factor/")


def test_home_asks_for_a_second_factor_only_if_it_is_missing_and_needed(dba: User, viewer: User) -> None:
    for user, options in ((viewer, {"second_factor": False}), (dba, {})):
        client = Client()
        sign_in(client, user, **options)
        assert "have a second factor yet" not in client.get("/").content.decode()


def test_a_person_who_uses_single_sign_on_is_added_without_a_password(
    admin_client: Client, settings: Any
) -> None:
    assert "single sign-on" not in admin_client.get("/people/new/").content.decode()
    settings.OIDC_ISSUER, settings.OIDC_NAME = "https://id.example.org", "Acme"
    form = {"email": "nell@example.org", "name": "Nell New", "uses_single_sign_on": "on"}
    added = admin_client.post("/people/new/", form)
    person = User.objects.get(email="nell@example.org")
    assert added["Location"] == f"/people/{person.pk}/"
    assert not person.has_usable_password()


def test_an_administrator_unlinks_single_sign_on(admin_client: Client, dba: User) -> None:
    SocialAccount.objects.create(user=dba, provider="sso", uid="dana-1")
    their_client = Client()
    sign_in(their_client, dba)
    assert "dana-1" in admin_client.get(f"/people/{dba.pk}/").content.decode()
    admin_client.delete(f"/people/{dba.pk}/single-sign-on/")
    assert not SocialAccount.objects.exists()
    assert their_client.get("/account/").status_code == 302
    assert admin_client.delete(f"/people/{dba.pk}/single-sign-on/").status_code == 409


def test_people_with_single_sign_on_cannot_reset_a_password(
    dba: User, client: Client, mailoutbox: Any
) -> None:
    SocialAccount.objects.create(user=dba, provider="sso", uid="dana-1")
    dba.set_unusable_password()
    dba.save()
    client.post("/account/password/reset/", {"email": dba.email})
    assert links(mailoutbox) == []
    assert "single sign-on" in mailoutbox[0].body


def test_a_password_reset_by_email_ends_all_sessions(dba: User, client: Client, mailoutbox: Any) -> None:
    enroll(dba)
    their_client = Client()
    sign_in(their_client, dba)
    client.post("/account/password/reset/", {"email": dba.email})
    [link] = links(mailoutbox)
    assert follow(link) == 302
    assert their_client.get("/account/").status_code == 302
    # Resetting a password doesn't sign in, and the second factor is still needed.
    client.post("/account/login/", {"login": dba.email, "password": NEW})
    assert client.get("/account/").status_code == 302


def test_an_administrator_signs_a_person_out_everywhere(admin_client: Client, dba: User) -> None:
    their_client = Client()
    sign_in(their_client, dba)
    admin_client.delete(f"/people/{dba.pk}/sessions/")
    response = their_client.get("/account/", follow=True)
    assert "signed out from another browser" in response.content.decode()
    assert Entry.objects.filter(action="sessions.ended").get().actor.name == "Ada Minster"


def test_the_page_of_a_person_shows_the_account_history(
    admin_client: Client, dba: User, administrator: User
) -> None:
    enroll(dba)
    dba.remove_second_factor(by=administrator, reason="Called back.")
    page = admin_client.get(f"/people/{dba.pk}/").content.decode()
    assert "factor.removed" in page
    assert "Called back." in page


def test_roles_are_assigned_and_removed_on_the_page_of_a_person(admin_client: Client, dba: User) -> None:
    target = factories.a_target()
    assert "No roles yet." in admin_client.get(f"/people/{dba.pk}/roles/").content.decode()
    given = admin_client.post(f"/people/{dba.pk}/roles/", {"target": target.pk, "role": "qa_lead"})
    assert given.status_code == 303
    held = TargetRole.objects.get(user=dba, role="qa_lead")
    assert "QA Lead" in admin_client.get(f"/people/{dba.pk}/roles/").content.decode()
    assert admin_client.delete(f"/people/{dba.pk}/roles/{held.pk}/").status_code == 303
    assert not TargetRole.objects.filter(user=dba, role="qa_lead").exists()
    assert (
        admin_client.post(f"/people/{dba.pk}/roles/", {"target": target.pk, "role": "king"}).status_code
        == 422
    )


# --- Ended sessions and denied requests ---------------------------------------------------------------


@pytest.mark.parametrize("first", ["page", "fragment", "stream"])
def test_the_sign_in_page_shows_once_why_the_session_ended(dba: User, client: Client, first: str) -> None:
    sign_in(client, dba)
    SignIn.objects.update(seen_at=timezone.now() - dt.timedelta(hours=1))
    if first == "fragment":
        client.get("/parts/runs", headers={"HX-Request": "true", "X-Live": "1"})
    elif first == "stream":
        assert client.get("/live/", headers={"Accept": "text/event-stream"}).status_code == 401
    page = client.get("/account/", follow=True).content.decode()
    assert "signed out because of inactivity" in page
    assert "signed out because of inactivity" not in client.get("/account/login/").content.decode()


def test_denied_requests_of_a_person_are_audited_up_to_a_limit(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denied_log, "MAX_PER_HOUR", 3)
    client = Client()
    sign_in(client, viewer)
    for _ in range(5):
        assert client.get("/people/").status_code == 403
    logged = Entry.objects.filter(action=Action.ACCESS_DENIED)
    assert logged.count() == 3
    assert "are not logged" in logged.first().data["further"]


def test_without_email_a_password_reset_shows_the_command_instead(
    client: Client, dba: User, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    page = client.get("/account/password/reset/").content.decode()
    assert "deployctl user password" in page
    assert "<form" not in page
    response = client.post("/account/password/reset/", {"email": dba.email})
    assert response.status_code == 409
    assert "E-mail isn’t set up here" in response.content.decode()
    assert "we have sent a link" not in client.get("/account/password/reset/done/").content.decode()
    assert capsys.readouterr().out == ""


def test_the_console_backend_receives_no_email_with_links(
    dba: User, settings: Any, rf: RequestFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    context = {"person": dba, "by_name": "Ada", "url": "http://testserver/live-link/"}
    request = rf.get("/")
    AccountAdapter(request).send_mail("account/email/invitation", dba.email, context)
    assert capsys.readouterr().out == ""
