"""Test passkeys in a real browser with a virtual authenticator."""

from __future__ import annotations

import psycopg
import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from playwright.sync_api import Browser, Page, expect

from checklists.models import Deployment
from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission
from tests.browser.person import TIMEOUT_MS
from tests.checklists import factories
from tests.conftest import Committed
from tests.people import PASSWORD, person
from tests.signoff.signing import complete_items
from tests.web.server import running

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def deployment(committed_db: Committed) -> Deployment:
    """A deployment that is ready for the signature of Dana, who has no second factor yet."""
    team = [person(name, Permission.APPROVER) for name in ("Dana Baker", "Dev Opsworth", "Quinn Adler")]
    # The server is another process, which doesn't accept the fast password hashes of the tests.
    strong = Argon2PasswordHasher().encode(PASSWORD, "a salt of its own")
    User.objects.filter(pk=team[0].pk).update(password=strong)
    planned = factories.plan(factories.a_target(), factories.published(), factories.team_of(*team))
    complete_items(planned, "pre")
    return planned


def test_a_passkey_can_be_added_and_used_to_sign_in_step_up_and_sign(
    deployment: Deployment, committed_db: Committed, chromium: Browser
) -> None:
    console_errors: list[str] = []
    with running(committed_db.environment | {"DEBUG": "1"}) as port:
        page = chromium.new_context(base_url=f"http://localhost:{port}").new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on(
            "console",
            lambda message: console_errors.append(message.text) if message.type == "error" else None,
        )
        devtools = page.context.new_cdp_session(page)
        devtools.send("WebAuthn.enable")
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})

        sign_in(page)
        page.goto("/account/passkeys/new/?next=/account/")
        page.get_by_label("Name").fill("Laptop")
        page.get_by_role("button", name="Create passkey").click()
        page.get_by_role("link", name="I have saved them").click()
        expect(page.get_by_role("listitem").filter(has_text="Laptop")).to_be_visible()

        page.get_by_role("button", name="account menu").click()
        page.get_by_role("button", name="Sign out").click()
        sign_in(page)
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.get_by_role("button", name="account menu")).to_be_visible()

        with psycopg.connect(committed_db.url) as connection:
            connection.execute("UPDATE accounts_signin SET code_given_at = now() - interval '1 hour'")
        page.goto("/account/passkeys/new/")
        page.get_by_role("button", name="Use a passkey").click()
        expect(page.get_by_role("heading", name="Add a passkey")).to_be_visible()

        page.goto(f"/deployments/{deployment.pk}/gates/pre/")
        page.get_by_label("I approve this deployment for production.").check()
        page.get_by_label("Your password").fill(PASSWORD)
        page.get_by_role("button", name="Sign with a passkey").click()
        expect(page.get_by_text("Signed as Database Administrator.")).to_be_visible()
    with psycopg.connect(committed_db.url) as connection:
        signed = connection.execute("SELECT printed_name, method FROM signoff_signature").fetchall()
    assert signed == [("Dana Baker", "password and passkey")]
    assert console_errors == []


def sign_in(page: Page) -> None:
    """Submit e-mail address and password on the sign-in page."""
    page.goto("/account/login/")
    page.get_by_label("E-mail address").fill("dana.baker@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
