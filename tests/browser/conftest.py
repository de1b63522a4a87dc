"""A running product, and browsers for its people."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.person import WITHIN_MS, Person
from tests.browser.product import Product, demonstration

# Without these, Chromium looks for its maker's servers at every start.
QUIET = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
expect.set_options(timeout=WITHIN_MS)


@pytest.fixture(scope="session")
def product() -> Iterator[Product]:
    """One demonstration for the browser tests of a session."""
    # Not pytest's own folder: its mode keeps out the account that PostgreSQL runs under.
    folder = Path(tempfile.mkdtemp(prefix="deployctl-browser-"))
    folder.chmod(0o755)
    try:
        with demonstration(folder / "data") as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def a_browser() -> Iterator[Browser]:
    """A real Chromium: the one that `make test` found or installed.

    While it lives, Playwright keeps an event loop in this thread, in which Django refuses the database.
    """
    found = os.environ.get("DEPLOYCTL_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    # Chromium's own sandbox refuses to work for root, which is who tests run as in containers.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=[*QUIET, *sandbox], timeout=WITHIN_MS
        )
        yield browser
        browser.close()


@pytest.fixture
def chromium() -> Iterator[Browser]:
    """A browser for one test: the next one may need the database."""
    with a_browser() as browser:
        yield browser


@pytest.fixture
def at_a_browser(product: Product, chromium: Browser) -> Iterator[Callable[[str], Person]]:
    """`at_a_browser("dana")` is that person of the sample team, signed out."""
    people: list[Person] = []

    def make(first_name: str) -> Person:
        email = f"{first_name}@healthcare.example"
        person = Person(chromium, product.url, email, product.passwords[email])
        people.append(person)
        return person

    yield make
    complaints = [complaint for person in people for complaint in person.complaints]
    for person in people:
        person.page.context.close()
    assert complaints == [], "the browser's console complains"
