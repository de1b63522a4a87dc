"""What administrators see and do about people: finding, inviting, unlinking, signing out, giving roles."""

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
from tests.checklists import deployments

NEW = "another horse, another staple"


@pytest.fixture
def office(administrator: User) -> Client:
    client = Client()
    sign_in(client, administrator)
    return client


def names(office: Client, query: str) -> set[str]:
    page = office.get(f"/people/?{query}").content.decode()
    return set(re.findall(r'data-label="Name"><a [^>]*>([^<]+)', page))


def test_people_are_found_by_words_permission_and_state(
    office: Client, administrator: User, dba: User, cto: User, viewer: User
) -> None:
    enroll(dba)
    theirs = browser()
    sign_in(theirs, cto, second_factor=False)
    add_passkey(theirs, cto)
    viewer.disable(by=administrator)
    everybody = {"Ada Minster", "Dana Baker", "Cora Tolland", "Vi Ewing"}
    assert names(office, "") == everybody
    assert names(office, "words=dana") == {"Dana Baker"}
    assert names(office, "words=TOLLAND@example") == {"Cora Tolland"}
    assert names(office, "permission=operator") == {"Dana Baker"}
    assert names(office, "state=disabled") == {"Vi Ewing"}
    assert names(office, "state=active") == everybody - {"Vi Ewing"}
    assert names(office, "state=without_factor") == set()
    dba.remove_factor(by=administrator, reason="Met in person.")
    assert names(office, "state=without_factor") == {"Dana Baker"}
    assert names(office, "words=nobody") == set()
    assert office.get("/people/?state=odd").status_code == 422


@pytest.fixture
def invited(office: Client, db: Any) -> User:
    office.post("/people/new/", {"email": "nell@example.org", "name": "Nell New", "invite": "on"})
    nell: User = User.objects.get(email="nell@example.org")
    return nell


def follow(link: str) -> int:
    """What an invited person gets who follows a link and chooses a password: 302 when it is taken."""
    client = Client()
    answer = client.get(link)
    if answer.status_code != 302:
        return answer.status_code
    return client.post(answer["Location"], {"password1": NEW, "password2": NEW}).status_code


def test_the_invited_person_cannot_choose_their_name(office: Client, db: Any, mailoutbox: Any) -> None:
    name = "Wilhelmina Vandersloot"
    office.post("/people/new/", {"email": "w@example.org", "name": name, "invite": "on"})
    theirs = Client()
    form = theirs.get(links(mailoutbox)[0])["Location"]
    answer = theirs.post(form, {"password1": name, "password2": name})
    assert "too similar to the name" in answer.content.decode()


def links(mailoutbox: Any) -> list[str]:
    found = (re.search(r"http://testserver(\S+/password/reset/key/\S+)", mail.body) for mail in mailoutbox)
    return [match.group(1) for match in found if match]


def test_an_invitation_is_followed_once(office: Client, invited: User, mailoutbox: Any) -> None:
    [link] = links(mailoutbox)
    assert "Withdraw the invitation" in office.get(f"/people/{invited.pk}/").content.decode()
    assert follow(link) == 302
    invited.refresh_from_db()
    assert invited.check_password(NEW)
    assert follow(link) == 200
    assert "Withdraw the invitation" not in office.get(f"/people/{invited.pk}/").content.decode()


def test_an_invitation_that_is_sent_again_voids_the_one_before(
    office: Client, invited: User, mailoutbox: Any
) -> None:
    office.post(f"/people/{invited.pk}/invitation/")
    first, second = links(mailoutbox)
    assert follow(first) == 200
    assert follow(second) == 302


def test_a_withdrawn_invitation_leads_nowhere(office: Client, invited: User, mailoutbox: Any) -> None:
    office.post(f"/people/{invited.pk}/invitation/", {"_method": "DELETE"})
    assert follow(links(mailoutbox)[0]) == 200
    invited.refresh_from_db()
    assert not invited.has_usable_password()
    assert Entry.objects.first().action == "invitation.revoked"
    again = office.post(f"/people/{invited.pk}/invitation/", {"_method": "DELETE"})
    assert again.status_code == 409


def test_an_invitation_is_good_for_three_days(
    invited: User, mailoutbox: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invitations.standing(invited) is not None
    assert invitations.good_for() == dt.timedelta(days=3)
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert invitations.standing(invited) is None
    assert follow(links(mailoutbox)[0]) == 200


def test_a_link_to_a_person_with_a_password_leaves_it_alone(office: Client, dba: User) -> None:
    before = dba.password
    office.post(f"/people/{dba.pk}/invitation/")
    dba.refresh_from_db()
    assert dba.password == before


def test_an_invited_person_sets_up_a_factor_before_the_first_privileged_act(
    office: Client, mailoutbox: Any, db: Any
) -> None:
    form = {"email": "nell@example.org", "name": "Nell New", "invite": "on", "permissions": ["approver"]}
    office.post("/people/new/", form)
    follow(links(mailoutbox)[0])
    theirs = Client()
    theirs.post("/account/login/", {"login": "nell@example.org", "password": NEW})
    home = theirs.get("/").content.decode()
    assert "You have no second factor yet" in home
    assert theirs.get("/audit/")["Location"].startswith("/account/factor/")


def test_home_does_not_speak_of_factors_to_who_needs_none_or_has_one(dba: User, viewer: User) -> None:
    for user, options in ((viewer, {"second_factor": False}), (dba, {})):
        client = Client()
        sign_in(client, user, **options)
        assert "no second factor yet" not in client.get("/").content.decode()


def test_with_single_sign_on_people_are_added_without_a_password(office: Client, settings: Any) -> None:
    assert "single sign-on" not in office.get("/people/new/").content.decode()
    settings.OIDC_ISSUER, settings.OIDC_NAME = "https://id.example.org", "Acme"
    form = {"email": "nell@example.org", "name": "Nell New", "elsewhere": "on"}
    added = office.post("/people/new/", form)
    person = User.objects.get(email="nell@example.org")
    assert added["Location"] == f"/people/{person.pk}/"
    assert not person.has_usable_password()


def test_a_link_to_single_sign_on_is_forgotten(office: Client, dba: User) -> None:
    SocialAccount.objects.create(user=dba, provider="sso", uid="dana-1")
    theirs = Client()
    sign_in(theirs, dba)
    assert "dana-1" in office.get(f"/people/{dba.pk}/").content.decode()
    office.delete(f"/people/{dba.pk}/link/")
    assert not SocialAccount.objects.exists()
    assert theirs.get("/account/").status_code == 302
    assert office.delete(f"/people/{dba.pk}/link/").status_code == 409


def test_who_signs_in_elsewhere_gets_no_password_by_e_mail(
    dba: User, client: Client, mailoutbox: Any
) -> None:
    SocialAccount.objects.create(user=dba, provider="sso", uid="dana-1")
    dba.set_unusable_password()
    dba.save()
    client.post("/account/password/reset/", {"email": dba.email})
    assert links(mailoutbox) == []
    assert "single sign-on" in mailoutbox[0].body


def test_a_password_that_was_forgotten_is_set_by_e_mail_and_ends_all_sessions(
    dba: User, client: Client, mailoutbox: Any
) -> None:
    enroll(dba)
    theirs = Client()
    sign_in(theirs, dba)
    client.post("/account/password/reset/", {"email": dba.email})
    [link] = links(mailoutbox)
    assert follow(link) == 302
    assert theirs.get("/account/").status_code == 302
    # Setting a password is not signing in, and the second factor is asked for as ever.
    client.post("/account/login/", {"login": dba.email, "password": NEW})
    assert client.get("/account/").status_code == 302


def test_an_administrator_signs_a_person_out_everywhere(office: Client, dba: User) -> None:
    theirs = Client()
    sign_in(theirs, dba)
    office.delete(f"/people/{dba.pk}/sessions/")
    answer = theirs.get("/account/", follow=True)
    assert "signed out from another browser" in answer.content.decode()
    assert Entry.objects.filter(action="sessions.ended").get().actor.name == "Ada Minster"


def test_the_page_of_a_person_shows_what_was_done_to_them(
    office: Client, dba: User, administrator: User
) -> None:
    enroll(dba)
    dba.remove_factor(by=administrator, reason="Called back.")
    page = office.get(f"/people/{dba.pk}/").content.decode()
    assert "factor.removed" in page
    assert "Called back." in page


def test_roles_on_targets_are_given_and_taken_on_the_page_of_the_person(office: Client, dba: User) -> None:
    target = deployments.a_target()
    assert "No roles yet." in office.get(f"/people/{dba.pk}/roles/").content.decode()
    given = office.post(f"/people/{dba.pk}/roles/", {"target": target.pk, "role": "qa_lead"})
    assert given.status_code == 303
    held = TargetRole.objects.get(user=dba, role="qa_lead")
    assert "QA Lead" in office.get(f"/people/{dba.pk}/roles/").content.decode()
    assert office.delete(f"/people/{dba.pk}/roles/{held.pk}/").status_code == 303
    assert not TargetRole.objects.filter(user=dba, role="qa_lead").exists()
    assert office.post(f"/people/{dba.pk}/roles/", {"target": target.pk, "role": "king"}).status_code == 422


# --- Sessions that ended, and refusals ----------------------------------------------------------------


@pytest.mark.parametrize("first", ["page", "fragment", "stream"])
def test_why_a_session_ended_is_told_where_one_signs_in_whoever_found_out_first(
    dba: User, client: Client, first: str
) -> None:
    sign_in(client, dba)
    SignIn.objects.update(seen_at=timezone.now() - dt.timedelta(hours=1))
    if first == "fragment":
        client.get("/parts/runs", headers={"HX-Request": "true", "X-Live": "1"})
    elif first == "stream":
        assert client.get("/live/", headers={"Accept": "text/event-stream"}).status_code == 401
    page = client.get("/account/", follow=True).content.decode()
    assert "nothing happened for a while" in page
    assert "nothing happened for a while" not in client.get("/account/login/").content.decode()


def test_refusals_of_one_person_are_written_down_sixty_times_an_hour(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denied_log, "MOST_PER_HOUR", 3)
    client = Client()
    sign_in(client, viewer)
    for _ in range(5):
        assert client.get("/people/").status_code == 403
    noted = Entry.objects.filter(action=Action.ACCESS_DENIED)
    assert noted.count() == 3
    assert "not written down" in noted.first().data["further"]


def test_where_no_e_mail_is_set_up_a_forgotten_password_makes_no_link(
    client: Client, dba: User, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    page = client.get("/account/password/reset/").content.decode()
    assert "deployctl user password" in page
    assert "<form" not in page
    answer = client.post("/account/password/reset/", {"email": dba.email})
    assert answer.status_code == 409
    assert "No e-mail is set up" in answer.content.decode()
    assert "on its way" not in client.get("/account/password/reset/done/").content.decode()
    assert capsys.readouterr().out == ""


def test_no_mail_of_a_page_is_written_where_nobody_reads_it(
    dba: User, settings: Any, rf: RequestFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    context = {"person": dba, "by_name": "Ada", "url": "http://testserver/live-link/"}
    request = rf.get("/")
    AccountAdapter(request).send_mail("account/email/invitation", dba.email, context)
    assert capsys.readouterr().out == ""
