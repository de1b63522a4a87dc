"""Test a whole deployment, from sign-in to history, by several people in browsers."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.person import RUN_TIMEOUT_MS, Person
from tests.browser.product import Product

DEPLOYMENT, FIRST_GATE, SECOND_GATE = (
    "/deployments/1/",
    "/deployments/1/gates/pre/",
    "/deployments/1/gates/post/",
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


def test_a_deployment_from_the_first_tick_to_the_history(
    product: Product, browser_of: Callable[[str], Person]
) -> None:
    dana, mei = browser_of("dana"), browser_of("mei")
    dana.sign_in()
    mei.sign_in()

    # Another person's tick appears without a reload.
    dana.page.goto(DEPLOYMENT)
    mei.page.goto(DEPLOYMENT)
    expect(mei.page.locator("#connection")).to_have_text("Live")
    dana.tick("Maintenance window scheduled")
    expect(mei.item("Maintenance window scheduled")).to_have_attribute("data-status", "done")
    dana.tick_section("Pre-Deployment Verification", "Called everybody, all agreed.")

    # The first operation requires a second factor.
    dana.item("Database created successfully").get_by_role("button", name="Create database").click()
    dana.enroll()
    dana.page.goto(DEPLOYMENT)
    dana.run("Database created successfully", "Create database")
    expect(mei.item("Database created successfully")).to_have_attribute("data-status", "done")

    # Three people approve after they set up a factor and all blockers are resolved.
    luca = browser_of("luca")
    luca.sign_in()
    for person in (luca, mei):
        person.page.goto("/account/factor/")
        person.enroll()
    dana.resolve_blockers(FIRST_GATE)
    for person, slot in ((dana, "Database Administrator"), (luca, "DevOps Lead"), (mei, "CTO/Tech Lead")):
        person.sign(FIRST_GATE, slot)
    expect(dana.page.get_by_text("Approved").first).to_be_visible()

    # The deployment begins.
    dana.page.goto(DEPLOYMENT)
    dana.page.get_by_role("button", name="Start deployment").click()
    expect(dana.page.get_by_role("button", name="Start verification")).to_be_visible()
    dana.run("Prisma client generated", "Generate client")
    dana.run("Migrations applied successfully", "Apply migrations")
    dana.run("Subscription plans created", "Seed database")
    dana.run("Health checks passed", "Validate database")

    # Another person watches a backup live.
    mei.page.goto("/targets/healthcare_db/")
    dana.item("First backup created successfully").get_by_role("button", name="Back up").click()
    running = dana.item("First backup created successfully").get_by_role("link", name=re.compile(r"^Run \d+"))
    address = running.get_attribute("href")
    assert address is not None
    mei.page.goto(address)
    expect(mei.page.get_by_text("Succeeded").first).to_be_visible(timeout=RUN_TIMEOUT_MS)
    expect(mei.page.locator("[data-log-stream]")).to_contain_text("pg_dump")
    expect(dana.item("First backup created successfully")).to_have_attribute("data-status", "done")

    # Everything else that the second gate requires, from its list of blockers.
    amir, sofia = browser_of("amir"), browser_of("sofia")
    for person in (amir, sofia):
        person.sign_in()
        person.page.goto("/account/factor/")
        person.enroll()
    dana.resolve_blockers(SECOND_GATE)
    dana.page.goto(DEPLOYMENT)
    dana.page.get_by_role("button", name="Start verification").click()
    expect(dana.page.get_by_text("Verifying").first).to_be_visible()

    # Three people accept the result.
    for person, slot in (
        (dana, "Database Administrator"),
        (amir, "Application Team Lead"),
        (sofia, "QA Lead"),
    ):
        person.sign(SECOND_GATE, slot)

    # The deployment is in the history, and the audit log is intact.
    sofia.page.goto("/history/")
    row = sofia.page.get_by_role("row").filter(has_text="First release of the Healthcare app")
    expect(row).to_contain_text("Signed off")
    assert product.deployctl("audit", "verify").returncode == 0
