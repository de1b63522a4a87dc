"""Stream downloads without holding them in memory."""

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
    """Return a response that streams a file for download.

    Args:
        chunks: the content in chunks of any size; each is read after the previous one was sent.
        name: the file name.
        content_type: the media type; browsers download the file whatever its type.
    """
    pieces = _joined(chunks)
    # With the other kind of iterator, Django would read the whole content first.
    content = _in_threads(pieces) if isinstance(request, ASGIRequest) else pieces
    response = StreamingHttpResponse(content, content_type=content_type)
    return as_attachment(response, name)


def as_attachment(response: HttpResponseBase, name: str) -> HttpResponseBase:
    """Make browsers download a response as a file, and never show or run it."""
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name)
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Cache-Control"] = "private, no-store"
    return response


def read_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a stream in chunks, and close the stream."""
    with stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _joined(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in chunks of a useful size."""
    buffer, size = [], 0
    for chunk in chunks:
        buffer.append(chunk)
        size += len(chunk)
        if size >= CHUNK:
            yield b"".join(buffer)
            buffer, size = [], 0
    if buffer:
        yield b"".join(buffer)


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    # In the request's own thread, which has its database connection.
    next_piece = sync_to_async(lambda: next(pieces, None), thread_sensitive=True)
    while (piece := await next_piece()) is not None:
        yield piece
