"""Middleware: method override, NUL characters, errors, time zone and compression."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.test import RequestFactory
from django.utils import timezone
from django_htmx.middleware import HtmxDetails

from deployctl.accounts.models import User
from deployctl.errors import DeployctlError, InvalidInput, NotAllowed, Refusal
from deployctl.web.middleware import (
    CompressionMiddleware,
    ErrorMiddleware,
    MethodOverrideMiddleware,
    TimezoneMiddleware,
)

rf = RequestFactory()


def answer(_: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def as_htmx(request: HttpRequest) -> HttpRequest:
    request.htmx = HtmxDetails(request)  # type: ignore[attr-defined]
    return request


@pytest.mark.parametrize(
    ("method", "override", "expected"),
    [
        ("post", "DELETE", "DELETE"),
        ("post", "put", "PUT"),
        ("post", "TRACE", "POST"),
        ("post", "", "POST"),
        ("get", "DELETE", "GET"),
    ],
)
def test_a_form_can_override_its_method(method: str, override: str, expected: str) -> None:
    request = getattr(rf, method)("/", {"_method": override})
    MethodOverrideMiddleware(answer).process_view(request)

    assert request.method == expected


def test_a_query_with_a_nul_never_reaches_the_database(db: None, signed_in: Any, dba: User) -> None:
    browser = signed_in(dba)
    for address in (
        "/templates/new?slug=a%00b",
        "/deployments/new?target=a%00b",
        "/live/?channel=target:a%00b",
    ):
        assert browser.get(address).status_code == 400, address


def test_a_nul_in_a_url_or_a_form_is_a_400_without_a_traceback(
    db: None, signed_in: Any, dba: User, caplog: pytest.LogCaptureFixture
) -> None:
    browser, address = signed_in(dba), "/targets/shop/runs"
    answers = [
        browser.get("/targets/?page=%00"),
        browser.get("/targets/a%00b/"),
        browser.get("/sign-in/%00"),
        browser.post(address, {"kind": "restore", "typed_name": "a\0b"}),
        browser.post(address, {"kind": "\0"}),
        browser.post(address, {"kind": "restore", "a\0": "b"}),
        browser.post(address, "kind=%00", content_type="application/x-www-form-urlencoded"),
    ]

    assert [answer.status_code for answer in answers] == [400] * len(answers)
    assert all("Bad request" in answer.text for answer in answers)
    assert [record.message for record in caplog.records if record.exc_info] == []


def test_json_cannot_override_the_method() -> None:
    request = rf.post("/", '{"_method": "DELETE"}', content_type="application/json")
    MethodOverrideMiddleware(answer).process_view(request)

    assert request.method == "POST"


def test_a_form_that_deletes_needs_a_csrf_token() -> None:
    check = CsrfViewMiddleware(answer)
    bare = rf.get("/")
    token = get_token(bare)
    good, bad = (rf.post("/", {"_method": "DELETE", "csrfmiddlewaretoken": it}) for it in (token, "x" * 64))
    for request in (good, bad):
        request.COOKIES["deployctl_csrf"] = bare.META["CSRF_COOKIE"]
        check.process_request(request)

    assert check.process_view(good, answer, (), {}) is None
    refused = check.process_view(bad, answer, (), {})
    assert refused is not None
    assert refused.status_code == 403


@pytest.mark.parametrize(
    ("error", "status"), [(Refusal, 409), (InvalidInput, 422), (NotAllowed, 403), (DeployctlError, 409)]
)
def test_a_deployctl_error_is_shown_with_its_status(error: type[DeployctlError], status: int) -> None:
    request = as_htmx(rf.get("/", headers={"HX-Request": "true"}))
    response = ErrorMiddleware(answer).process_exception(request, error("Dana runs <b>it</b>."))

    assert response is not None
    assert response.status_code == status
    assert "Dana runs &lt;b&gt;it&lt;/b&gt;." in response.text
    assert "<html" not in response.text


def test_other_exceptions_are_not_handled() -> None:
    assert ErrorMiddleware(answer).process_exception(rf.get("/"), ZeroDivisionError()) is None


@pytest.fixture
def _own_zone() -> Iterator[None]:
    yield
    timezone.deactivate()


@pytest.mark.usefixtures("_own_zone")
@pytest.mark.parametrize(
    ("chosen", "name"), [("Europe/Vienna", "Europe/Vienna"), ("Nowhere/Town", "UTC"), ("", "UTC")]
)
def test_times_are_shown_in_the_time_zone_of_the_user(chosen: str, name: str) -> None:
    seen: list[str] = []

    def view(_: HttpRequest) -> HttpResponse:
        seen.append(timezone.get_current_timezone_name())
        return HttpResponse()

    request: Any = rf.get("/")
    request.user = type("Viewer", (), {"timezone": chosen})()
    TimezoneMiddleware(view)(request)
    assert seen == [name]
    assert timezone.get_current_timezone_name() == "UTC"

    request.user = AnonymousUser()
    TimezoneMiddleware(view)(request)
    assert seen[-1] == "UTC"


def test_pages_are_compressed_and_event_streams_are_not() -> None:
    request = rf.get("/", headers={"Accept-Encoding": "gzip"})
    compression = CompressionMiddleware(answer)
    page = compression.process_response(request, HttpResponse("word " * 500))
    events = StreamingHttpResponse(iter(["data: 1\n\n"]), content_type="text/event-stream")
    assert page["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in compression.process_response(request, events)


def test_asynchronous_streams_are_not_compressed() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"line\n" * 500

    request = rf.get("/", headers={"Accept-Encoding": "gzip"})
    sent = CompressionMiddleware(answer).process_response(request, StreamingHttpResponse(pieces()))
    assert "Content-Encoding" not in sent


def test_a_get_of_a_form_only_url_shows_a_page(db: None, signed_in: Any, dba: User) -> None:
    answer = signed_in(dba).get("/deployments/1/signatures")
    assert answer.status_code == 405
    assert answer["Allow"] == "POST"
    assert "This URL only accepts form submissions. Nothing was changed." in answer.content.decode()
