"""Pages, fragments and redirects."""

from __future__ import annotations

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from django_htmx.middleware import HtmxDetails

from deployctl.web.http import page_or_fragment, row_number, see_other, wants_fragment


def request(**headers: str) -> HttpRequest:
    made = RequestFactory().get(
        "/", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    made.htmx = HtmxDetails(made)  # type: ignore[attr-defined]
    return made


def test_htmx_gets_the_fragment_and_a_browser_the_page() -> None:
    templates = ("web/_notice.html", "web/_badge.html")
    context = {
        "message": "the page",
        "level": "info",
        "label": "the part",
        "icon_name": "check",
        "status": "done",
    }

    page = page_or_fragment(request(), *templates, context)
    part = page_or_fragment(request(HX_Request="true"), *templates, context, status=409)

    assert "the page" in page.text
    assert "the part" in part.text
    assert part.status_code == 409
    assert page["Vary"] == "HX-Request"


def test_boosted_links_and_restored_history_get_the_whole_page() -> None:
    assert not wants_fragment(request(HX_Request="true", HX_Boosted="true"))
    assert not wants_fragment(request(HX_Request="true", HX_History_Restore_Request="true"))


def test_after_a_change_the_browser_loads_another_page() -> None:
    plain, htmx = see_other(request(), "/runs/7/"), see_other(request(HX_Request="true"), "/runs/7/")

    assert (plain.status_code, plain["Location"]) == (303, "/runs/7/")
    assert (htmx.status_code, htmx["HX-Redirect"]) == (200, "/runs/7/")


@pytest.mark.parametrize(
    ("text", "number"), [("7", 7), ("9" * 18, 10**18 - 1), ("9" * 5000, 0), ("-1", 0), ("x", 0), (None, 0)]
)
def test_a_row_number_fits_into_a_bigint(text: str | None, number: int) -> None:
    assert row_number(text) == number
