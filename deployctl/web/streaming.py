"""Downloads that are made while they are sent, or come from files: never whole in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import BinaryIO

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header

CHUNK = 64 * 1024


def download(
    request: HttpRequest, chunks: Iterator[bytes], *, name: str, content_type: str
) -> HttpResponseBase:
    """Send pieces as a file to keep.

    Args:
        chunks: of any size; asked for the next when the last was sent.
        name: what the file is called.
        content_type: always sent as an attachment, so that no browser shows or runs it.
    """
    pieces = _gathered(chunks)
    # Each kind of server takes the other kind of iterator only by reading all of it first.
    content = _in_threads(pieces) if isinstance(request, ASGIRequest) else pieces
    response = StreamingHttpResponse(content, content_type=content_type)
    return as_attachment(response, name)


def as_attachment(response: HttpResponseBase, name: str) -> HttpResponseBase:
    """Have a browser keep an answer as a file, and neither show nor run it."""
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name)
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Cache-Control"] = "private, no-store"
    return response


def pieces_of(stream: BinaryIO) -> Iterator[bytes]:
    """The rest of a stream, which is closed at the end."""
    with stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _gathered(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that are worth a packet."""
    held, size = [], 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= CHUNK:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    # In the request's own thread, where its database connection is.
    following = sync_to_async(lambda: next(pieces, None), thread_sensitive=True)
    while (piece := await following()) is not None:
        yield piece
