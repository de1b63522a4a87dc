"""A page whose line was down, or that never had one, still shows what others did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.person import Person
from tests.browser.product import Product

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


def test_a_page_without_a_stream_asks_for_the_checklist_at_once_and_keeps_what_is_open(
    product: Product, at_a_browser: Callable[[str], Person], tmp_path: Path
) -> None:
    address = a_deployment(product, tmp_path)
    # Tom needs no second factor here, and sets none up in other tests.
    reader, other = at_a_browser("tom"), at_a_browser("tom")
    reader.sign_in()
    other.sign_in()
    # A proxy that swallows streams: the request is never answered.
    reader.page.route("**/live/**", lambda _route: None)
    reader.page.goto(address)
    reader.page.get_by_role("link", name="Firewall rules configured").click()
    note = reader.item("Firewall rules configured").get_by_label("Note").first
    note.fill("Half a sen")
    asked: list[str] = []
    reader.page.on("request", lambda request: asked.append(path_of(request.url)))

    other.page.goto(address)
    other.tick("Environment variables configured")

    expect(reader.item("Environment variables configured")).to_have_attribute("data-status", "done")
    expect(note).to_have_value("Half a sen")
    # Each time the page, and of its 180 parts those that changed; on a busy machine more than once.
    times = asked.count(path_of(reader.page.url))
    assert 0 < len(asked) < 20 * times, f"{len(asked)} requests, {times} times: {asked}"


def a_deployment(product: Product, folder: Path) -> str:
    plan = folder / "rollback.md"
    plan.write_text("Restore the backup.")
    window = ("--window-start", "2031-01-01T10:00+00:00", "--window-end", "2031-01-01T12:00+00:00")
    made = product.deployctl(
        *("deployment", "create", "--target", "healthcare", "--template", "healthcare", "--json"),
        *("--title", "Catching up", *window, "--rollback-plan-file", str(plan)),
    )
    return f"/deployments/{json.loads(made.stdout)['number']}/"


def path_of(address: str) -> str:
    return address.partition("//")[2].partition("/")[2].partition("#")[0]
