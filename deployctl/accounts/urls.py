"""The URLs of sign-in, accounts, people and API tokens.

Only the required pages of django-allauth are included, each with one of our policies. They keep their URL
names, which django-allauth uses.
"""

from __future__ import annotations

from allauth.account import views as allauth
from django.urls import include, path, re_path

from deployctl.accounts.policies import identified, must_change_password, public
from deployctl.accounts.views import account, factor, passkeys, people, sign_in, single_sign_on, tokens
from deployctl.accounts.views.sign_in import requires_email, requires_password, requires_rate_limit

signing_in = [
    path("login/", public(requires_rate_limit(allauth.login)), name="account_login"),
    path("logout/", identified(allauth.logout), name="account_logout"),
    # Closed by the adapter; django-allauth needs the URL name.
    path("signup/", public(allauth.signup), name="account_signup"),
    path("inactive/", public(allauth.account_inactive), name="account_inactive"),
    path(
        "password/change/",
        must_change_password(requires_password(requires_rate_limit(allauth.password_change))),
        name="account_change_password",
    ),
    path(
        "password/reset/",
        public(requires_email(requires_rate_limit(allauth.password_reset))),
        name="account_reset_password",
    ),
    path(
        "password/reset/done/",
        public(requires_email(allauth.password_reset_done)),
        name="account_reset_password_done",
    ),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        public(requires_rate_limit(allauth.password_reset_from_key)),
        name="account_reset_password_from_key",
    ),
    path(
        "password/reset/key/done/",
        public(allauth.password_reset_from_key_done),
        name="account_reset_password_from_key_done",
    ),
    # django-allauth needs this URL name.
    path("sso/<slug:provider_id>/callback/", single_sign_on.callback, name="openid_connect_callback"),
]

accounts = [
    path("account/", account.account, name="account"),
    path("account/login/code/", sign_in.sign_in_code, name="sign_in_code"),
    path("account/login/passkey/", sign_in.sign_in_passkey, name="sign_in_passkey"),
    path("account/sso/", single_sign_on.start, name="single_sign_on"),
    path("account/sso/reauthentication/", single_sign_on.reauthentication, name="reauthentication"),
    path("account/factor/", factor.factor, name="factor"),
    path("account/step-up/", factor.step_up_page, name="step_up"),
    path("account/passkeys/new/", passkeys.new_passkey, name="new_passkey"),
    path("account/passkeys/registration/", passkeys.registration, name="passkey_registration"),
    path("account/passkeys/challenge/", passkeys.challenge, name="passkey_challenge"),
    path("account/passkeys/<int:number>/", passkeys.passkey, name="passkey"),
    path("account/recovery-codes/", factor.recovery_codes, name="recovery_codes"),
    path("account/sessions/", account.other_sessions, name="other_sessions"),
    path("account/sessions/<int:number>/", account.session, name="session"),
    path("people/", people.people, name="people"),
    path("people/new/", people.new_person, name="new_person"),
    path("people/<int:number>/", people.person_detail, name="person"),
    path("people/<int:number>/permissions/", people.permissions, name="permissions"),
    path("people/<int:number>/suspension/", people.suspension, name="suspension"),
    path("people/<int:number>/invitation/", people.invitation, name="invitation"),
    path("people/<int:number>/temporary-password/", people.temporary_password, name="temporary_password"),
    path("people/<int:number>/sessions/", people.person_sessions, name="person_sessions"),
    path("people/<int:number>/single-sign-on/", people.person_sso_link, name="person_sso_link"),
    path("people/<int:number>/factor/", people.person_factor, name="person_factor"),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/new/", tokens.new_token, name="new_token"),
    path("tokens/<int:number>/", tokens.token, name="token"),
]

urlpatterns = [
    path("account/", include(signing_in)),
    path("", include((accounts, "accounts"))),
]
