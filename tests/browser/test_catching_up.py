"""Test that a page without live updates still shows changes by other people."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.person import Person
from tests.browser.product import Product

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


def test_a_page_without_live_updates_polls_and_keeps_open_forms(
    product: Product, browser_of: Callable[[str], Person], tmp_path: Path
) -> None:
    address = create_deployment(product, tmp_path)
    # Tom has no second factor in any test.
    reader, other = browser_of("tom"), browser_of("tom")
    reader.sign_in()
    other.sign_in()
    # Simulate a proxy that blocks streams: the request never gets a response.
    reader.page.route("**/live/**", lambda _route: None)
    reader.page.goto(address)
    reader.page.get_by_role("link", name="Firewall rules configured").click()
    note = reader.item("Firewall rules configured").get_by_label("Note").first
    note.fill("Half a sen")
    requests: list[str] = []
    reader.page.on("request", lambda request: requests.append(path_of(request.url)))

    other.page.goto(address)
    other.tick("Environment variables configured")

    expect(reader.item("Environment variables configured")).to_have_attribute("data-status", "done")
    expect(note).to_have_value("Half a sen")
    # A poll fetches the page and the changed ones of its 180 fragments. There may be several polls.
    polls = requests.count(path_of(reader.page.url))
    assert 0 < len(requests) < 20 * polls, f"{len(requests)} requests, {polls} polls: {requests}"


def create_deployment(product: Product, folder: Path) -> str:
    plan = folder / "rollback.md"
    plan.write_text("Restore the backup.")
    window = ("--window-start", "2031-01-01T10:00+00:00", "--window-end", "2031-01-01T12:00+00:00")
    created = product.deployctl(
        *("deployment", "create", "--target", "healthcare", "--template", "healthcare", "--json"),
        *("--title", "Catching up", *window, "--rollback-plan-file", str(plan)),
    )
    return f"/deployments/{json.loads(created.stdout)['number']}/"


def path_of(address: str) -> str:
    return address.partition("//")[2].partition("/")[2].partition("#")[0]
