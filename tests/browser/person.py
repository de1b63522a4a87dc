"""Drive a browser as a person: sign in, set up an authenticator, tick items, run operations, sign gates."""

from __future__ import annotations

import base64
import hmac
import re
import time

from playwright.sync_api import Browser, Locator, Page, expect

STEP_S = 30
# Much longer than needed. Tests continue as soon as the expected element appears.
TIMEOUT_MS = 60_000
RUN_TIMEOUT_MS = 120_000


def one_time_code(key: bytes, step: int) -> str:
    """Return the code of a time step (RFC 4226 section 5.3, with the time step of RFC 6238 as counter)."""
    digest = hmac.digest(key, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 1_000_000:06d}"


class Person:
    """A person with a separate browser profile.

    Args:
        browser: the program, in which the profile is created.
        url: of the product.
        email: of the person.
        password: of the person.
    """

    def __init__(self, browser: Browser, url: str, email: str, password: str) -> None:
        self._url, self._email, self._password = url, email, password
        self._key = b""
        self._last_step = 0
        context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 900})
        context.set_default_timeout(TIMEOUT_MS)
        self.page: Page = context.new_page()
        self.console_errors: list[str] = []
        self.page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        self.page.on(
            "console",
            lambda message: (
                self.console_errors.append(message.text)
                if message.type == "error" and "status of 4" not in message.text
                else None
            ),
        )

    # --- Signing in --------------------------------------------------------------------------------

    def sign_in(self) -> None:
        """Sign in with e-mail address and password, and with a code once an authenticator is set up."""
        self.page.goto("/")
        self.page.get_by_label("E-mail address").fill(self._email)
        self.page.get_by_label("Password").fill(self._password)
        self.page.get_by_role("button", name="Sign in").click()
        if self._key:
            self.page.get_by_label("code").fill(self.code())
            self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("button", name="account menu")).to_be_visible()

    def enroll(self) -> None:
        """Set up an authenticator from the page that asks for it."""
        expect(self.page.get_by_role("heading", name="Set up an authenticator app")).to_be_visible()
        self.page.get_by_text("Can’t scan?").click()
        text = self.page.locator("#text-secret").inner_text()
        self._key = base64.b32decode("".join(text.split()))
        self.page.wait_for_load_state()
        password = self.page.get_by_label("password")
        if password.count():
            password.fill(self._password)
        self.page.get_by_label("code").fill(self.code())
        self.page.get_by_role("button", name="Confirm").click()
        self.page.get_by_role("link", name="I have saved them").click()

    def code(self) -> str:
        """Return the next unused code, waiting for the next time step if necessary."""
        while True:
            now = int(time.time()) // STEP_S
            step = max(now, self._last_step + 1)
            # The product accepts codes of a clock that is one step ahead.
            if step <= now + 1:
                self._last_step = step
                return one_time_code(self._key, step)
            time.sleep(0.5)

    # --- On a deployment's page --------------------------------------------------------------------

    def item(self, text: str) -> Locator:
        """Return the item that contains this text."""
        return self.page.locator("li.item").filter(has_text=re.compile(re.escape(text))).first

    def tick(self, text: str) -> None:
        """Tick an item."""
        item = self.item(text)
        item.get_by_role("button", name=re.compile(r"^Complete:")).click()
        expect(item).to_have_attribute("data-status", "done")

    def run(self, text: str, operation: str) -> None:
        """Start an operation of an item and wait until it succeeds."""
        item = self.item(text)
        item.locator(".item__actions").get_by_role("button", name=operation).click()
        expect(item).to_have_attribute("data-status", "done", timeout=RUN_TIMEOUT_MS)

    def tick_section(self, section: str, note: str) -> None:
        """Tick all open items of a section with one note."""
        head = self.page.locator(".section__head").filter(has_text=section)
        head.get_by_text(re.compile(r"Complete \d+ open items")).click()
        head.get_by_label("Note for all items").fill(note)
        head.get_by_role("button", name=re.compile(r"Complete \d+ items")).click()
        expect(head.get_by_text(re.compile(r"Complete \d+ open items"))).to_have_count(0)

    def resolve_blockers(self, gate_url: str) -> None:
        """Follow the link of every blocker of a gate and complete its item."""
        self.page.goto(gate_url)
        links = self.page.locator("[aria-labelledby=blockers] a").evaluate_all(
            "links => links.map(link => link.href)"
        )
        for link in dict.fromkeys(links):
            self.page.goto(link)
            self._complete(self.page.locator(f"[id='{link.partition('#')[2]}']"))

    def _complete(self, item: Locator) -> None:
        operation = item.locator(".item__actions form button")
        if operation.count():
            self.page.reload()  # one run proves several items, and live updates may arrive late
        if item.get_attribute("data-status") == "done":
            return
        if operation.count():
            operation.click()
            expect(item).to_have_attribute("data-status", "done", timeout=RUN_TIMEOUT_MS)
            return
        tick = item.locator("[data-tick]")
        tick.click()
        if (tick.get_attribute("aria-label") or "").startswith("Show details"):
            item.get_by_label("Evidence note").fill("Seen; the paper lies in the vault.")
            item.get_by_role("button", name="Add note").click()
            expect(item.get_by_label("Proof")).to_contain_text("the paper lies in the vault")
            item.get_by_role("button", name="Complete item", exact=True).click()
        expect(item).to_have_attribute("data-status", "done")

    def sign(self, gate_url: str, slot: str) -> None:
        """Sign a gate with the meaning, the password and a code."""
        self.page.goto(gate_url)
        self.page.get_by_label("Sign as").select_option(label=slot)
        self.page.locator("#id_meaning").check()
        self.page.get_by_label("Your password").fill(self._password)
        self.page.get_by_label("One-time code").fill(self.code())
        self.page.get_by_role("button", name="Sign", exact=True).click()
        expect(self.page.get_by_text(f"Signed as {slot}.")).to_be_visible()
