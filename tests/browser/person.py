"""A person at a browser: signs in, sets up an authenticator, ticks, runs, signs."""

from __future__ import annotations

import base64
import hmac
import re
import time

from playwright.sync_api import Browser, Locator, Page, expect

STEP_S = 30
# Far more than it takes: what is there is seen at once.
WITHIN_MS = 60_000
RUN_ENDS_WITHIN_MS = 120_000


def one_time_code(key: bytes, step: int) -> str:
    """What an authenticator app shows (RFC 4226 section 5.3, with the time step of RFC 6238 as counter)."""
    digest = hmac.digest(key, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 1_000_000:06d}"


class Person:
    """Somebody with a browser of their own.

    Args:
        browser: the program; each person gets a separate profile in it.
        url: where the product is.
        email: their address.
        password: their password.
    """

    def __init__(self, browser: Browser, url: str, email: str, password: str) -> None:
        self._url, self._email, self._password = url, email, password
        self._key = b""
        self._last_step = 0
        context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 900})
        context.set_default_timeout(WITHIN_MS)
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text)
                if message.type == "error" and "status of 4" not in message.text
                else None
            ),
        )

    # --- Signing in --------------------------------------------------------------------------------

    def sign_in(self) -> None:
        """With e-mail address and password; who has an authenticator gives a code as well."""
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
        expect(self.page.get_by_role("heading", name="Set up your authenticator")).to_be_visible()
        self.page.get_by_text("Cannot scan?").click()
        text = self.page.locator("#text-secret").inner_text()
        self._key = base64.b32decode("".join(text.split()))
        self.page.wait_for_load_state()
        password = self.page.get_by_label("password")
        if password.count():
            password.fill(self._password)
        self.page.get_by_label("code").fill(self.code())
        self.page.get_by_role("button", name="Confirm").click()
        self.page.get_by_role("link", name="I have kept them").click()

    def code(self) -> str:
        """The next code that the authenticator has not shown yet; waits where one has to wait."""
        while True:
            now = int(time.time()) // STEP_S
            step = max(now, self._last_step + 1)
            # The product tolerates a phone's clock that is one step ahead.
            if step <= now + 1:
                self._last_step = step
                return one_time_code(self._key, step)
            time.sleep(0.5)

    # --- On a deployment's page --------------------------------------------------------------------

    def item(self, text: str) -> Locator:
        """The item that begins with this text."""
        return self.page.locator("li.item").filter(has_text=re.compile(re.escape(text))).first

    def tick(self, text: str) -> None:
        """Tick an item."""
        item = self.item(text)
        item.get_by_role("button", name=re.compile(r"^Complete:")).click()
        expect(item).to_have_attribute("data-status", "done")

    def run(self, text: str, operation: str) -> None:
        """Press the item's operation and watch it succeed."""
        item = self.item(text)
        item.locator(".item__actions").get_by_role("button", name=operation).click()
        expect(item).to_have_attribute("data-status", "done", timeout=RUN_ENDS_WITHIN_MS)

    def tick_together(self, section: str, note: str) -> None:
        """Tick the open items of a section with one note."""
        head = self.page.locator(".section__head").filter(has_text=section)
        head.get_by_text(re.compile(r"Complete \d+ open items")).click()
        head.get_by_label("Note for all items").fill(note)
        head.get_by_role("button", name=re.compile(r"Complete \d+ items")).click()
        expect(head.get_by_text(re.compile(r"Complete \d+ open items"))).to_have_count(0)

    def clear_blockers(self, gate_url: str) -> None:
        """Follow every link of what stands in the way of a gate, and do what is asked there."""
        self.page.goto(gate_url)
        links = self.page.locator("[aria-labelledby=blockers] a").evaluate_all(
            "links => links.map(link => link.href)"
        )
        for link in dict.fromkeys(links):
            self.page.goto(link)
            self._keep(self.page.locator(f"[id='{link.partition('#')[2]}']"))

    def _keep(self, item: Locator) -> None:
        operation = item.locator(".item__actions form button")
        if operation.count():
            self.page.reload()  # one run proves several items, and of some of them the page may hear later
        if item.get_attribute("data-status") == "done":
            return
        if operation.count():
            operation.click()
            expect(item).to_have_attribute("data-status", "done", timeout=RUN_ENDS_WITHIN_MS)
            return
        tick = item.locator("[data-tick]")
        tick.click()
        if (tick.get_attribute("aria-label") or "").startswith("Show details"):
            item.get_by_label("Evidence note").fill("Seen; the paper lies in the vault.")
            item.get_by_role("button", name="Add note").click()
            expect(item.get_by_label("Proof")).to_contain_text("the paper lies in the vault")
            item.get_by_role("button", name="Complete item", exact=True).click()
        expect(item).to_have_attribute("data-status", "done")

    def sign(self, gate_url: str, place: str) -> None:
        """Sign a gate: meaning, password and code."""
        self.page.goto(gate_url)
        self.page.get_by_label("Sign as").select_option(label=place)
        self.page.locator("#id_meaning").check()
        self.page.get_by_label("Your password").fill(self._password)
        self.page.get_by_label("One-time code").fill(self.code())
        self.page.get_by_role("button", name="Sign", exact=True).click()
        expect(self.page.get_by_text(f"Signed as {place}.")).to_be_visible()
