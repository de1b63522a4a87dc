"""Requests whose body is too large are rejected."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from deployctl.web.body_limit import BodyLimit

MB = 1024**2


def send_body(chunks: list[bytes], **headers: str) -> tuple[list[int], int]:
    """Return the response statuses and the number of bytes that the application received."""
    received = 0

    async def application(_: Any, receive: Any, send: Any) -> None:
        nonlocal received
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":  # as Django does
                return
            received += len(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    statuses: list[int] = []
    parts = iter(enumerate(chunks, start=1))

    async def receive() -> dict[str, Any]:
        number, chunk = next(parts)
        return {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "headers": named}
    asyncio.run(BodyLimit(application, max_bytes=2 * MB)(scope, receive, send))
    return statuses, received


def test_a_body_within_the_limit_is_passed_on() -> None:
    assert send_body([b"x" * MB, b"x" * MB], content_length=str(2 * MB)) == ([200], 2 * MB)


def test_a_body_that_declares_too_much_is_not_read() -> None:
    assert send_body([b"x"], content_length=str(2 * MB + 1)) == ([413], 0)


@pytest.mark.parametrize("headers", [{}, {"content_length": "1"}, {"content_length": "much"}])
def test_a_body_of_undeclared_size_is_cut_off_at_the_limit(headers: dict[str, str]) -> None:
    assert send_body([b"x" * MB] * 1000, **headers) == ([413], 2 * MB)


def test_connections_other_than_http_are_passed_on() -> None:
    seen = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], receive, send))

    asyncio.run(BodyLimit(application, max_bytes=0)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == [("lifespan", None, None)]
