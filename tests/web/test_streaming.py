"""Stream downloads on both kinds of server."""

from __future__ import annotations

import io
from collections.abc import Iterator

from asgiref.sync import async_to_sync
from django.http import StreamingHttpResponse
from django.test import AsyncRequestFactory, RequestFactory

from deployctl.web.streaming import CHUNK, download, read_chunks


def lines() -> Iterator[bytes]:
    for _ in range(3 * CHUNK // 100):
        yield b"x" * 100


def test_small_chunks_are_joined_without_loss() -> None:
    response = download(RequestFactory().get("/"), lines(), name="a.txt", content_type="text/plain")
    assert isinstance(response, StreamingHttpResponse)
    pieces = list(response)
    assert b"".join(pieces) == b"".join(lines())
    assert len(pieces) == 3


def test_an_asynchronous_server_gets_an_asynchronous_iterator() -> None:
    response = download(AsyncRequestFactory().get("/"), lines(), name="a.txt", content_type="text/plain")
    assert isinstance(response, StreamingHttpResponse)
    assert response.is_async

    async def read() -> bytes:
        return b"".join([piece async for piece in response])

    assert async_to_sync(read)() == b"".join(lines())


def test_a_download_is_an_attachment_that_cannot_run_scripts() -> None:
    request = RequestFactory().get("/")
    response = download(request, iter([b"x"]), name="é.txt", content_type="text/html")
    assert response["Content-Disposition"].startswith("attachment")
    assert response["Content-Security-Policy"].startswith("sandbox")
    assert response["Cache-Control"] == "private, no-store"


def test_a_stream_is_closed_after_it_was_read() -> None:
    stream = io.BytesIO(b"x" * (CHUNK + 1))
    assert [len(piece) for piece in read_chunks(stream)] == [CHUNK, 1]
    assert stream.closed
