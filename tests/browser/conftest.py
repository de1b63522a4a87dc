"""Fixtures: a running product, and browsers for the people of its sample team."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.person import TIMEOUT_MS, Person
from tests.browser.product import Product, demonstration

# Without these, Chromium connects to Google's servers at every start.
CHROMIUM_ARGS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="session")
def product() -> Iterator[Product]:
    """A running demonstration, shared by the browser tests of a session."""
    # Outside pytest's own folder, which the account that runs PostgreSQL may not enter.
    folder = Path(tempfile.mkdtemp(prefix="deployctl-browser-"))
    folder.chmod(0o755)
    try:
        with demonstration(folder / "data") as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def launch_browser() -> Iterator[Browser]:
    """Launch the Chromium that `make test` found or installed.

    While it runs, Playwright has an event loop in this thread, and Django refuses to use the database.
    """
    found = os.environ.get("DEPLOYCTL_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    # Chromium's sandbox doesn't work for root, and tests in containers run as root.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=[*CHROMIUM_ARGS, *sandbox], timeout=TIMEOUT_MS
        )
        yield browser
        browser.close()


@pytest.fixture
def chromium() -> Iterator[Browser]:
    """A browser for a single test, because the next test may need the database."""
    with launch_browser() as browser:
        yield browser


@pytest.fixture
def browser_of(product: Product, chromium: Browser) -> Iterator[Callable[[str], Person]]:
    """`browser_of("dana")` returns that person of the sample team, with a browser and signed out."""
    people: list[Person] = []

    def make(first_name: str) -> Person:
        email = f"{first_name}@healthcare.example"
        person = Person(chromium, product.url, email, product.passwords[email])
        people.append(person)
        return person

    yield make
    console_errors = [error for person in people for error in person.console_errors]
    for person in people:
        person.page.context.close()
    assert console_errors == [], "the browser's console has errors"
