"""Stream large uploaded files to views.

Django would write the whole body to the disk before it checks permissions, and the view would write the file
once more. Here Django gets the fields of the form first, so the session, permissions and CSRF token are
checked before the file is read, and the view reads the file as a stream. The view limits the size of the
file; this module limits the rest of the form.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from deployctl.errors import DeployctlError, InvalidInput
from deployctl.web.body_limit import Application, Message, Receive, Scope, Send

SCOPE_KEY = "deployctl.file"
MAX_FIELDS = 20
MAX_FIELD_BYTES = 64 * 1024
# More than a form with a few short fields adds to its file.
FORM_OVERHEAD_BYTES = 4096
# An upload is aborted if the client sends nothing for this long.
SILENCE_TIMEOUT_S = 60.0


class UploadInterrupted(DeployctlError):
    """The file was not received completely."""


class UploadedStream:
    """The file of a form, which is read while it is received.

    `name` is the file name that the client sent. `declared_bytes` is the minimum size by the request's
    Content-Length, 0 if unknown.
    """

    def __init__(self, form: _Form, name: str, declared_bytes: int) -> None:
        self.name, self.declared_bytes = name, declared_bytes
        self._form = form

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the file in chunks.

        Raises:
            UploadInterrupted: the client disconnected or was silent too long, or the form is malformed.
        """
        async for event in self._form.events():
            if event is None:
                await self._form.finish()
                return
            if isinstance(event, MultipartSegment):
                raise UploadInterrupted("The form contains more than one file. Nothing was kept.")
            yield bytes(event)


def uploaded_stream(request: HttpRequest) -> UploadedStream:
    """Return the file of a request.

    Raises:
        InvalidInput: the request has no file.
    """
    file: UploadedStream | None = getattr(request, "scope", {}).get(SCOPE_KEY)
    if file is None or not file.name:
        raise InvalidInput("No file was selected, so nothing was uploaded. Select a file and try again.")
    return file


class FileForms:
    """An ASGI middleware that separates the file from forms posted to some paths."""

    def __init__(self, application: Application, *, paths: re.Pattern[str]) -> None:
        """Wrap an application.

        Args:
            application: receives the fields before the file as the body, and the file as `scope[SCOPE_KEY]`.
                Other requests are passed on unchanged.
            paths: the paths of the forms; the whole path must match.
        """
        self._application = application
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http" or scope["method"] != "POST" or not self._paths.fullmatch(scope["path"]):
            await self._application(scope, receive, send)
            return
        headers = dict(scope["headers"])
        kind, options = parse_options_header(headers.get(b"content-type", b"").decode("latin-1"))
        if kind != "multipart/form-data" or not options.get("boundary"):
            await self._application(scope, receive, send)
            return
        try:
            form = _Form(receive, options["boundary"])
            fields, name = await form.fields()
        except (MultipartError, UnicodeDecodeError, UploadInterrupted):
            # Pass on an empty form: Django checks permissions first, then reports the missing fields.
            fields, form, name = {}, None, ""
        body = urlencode(fields).encode()
        declared_bytes = headers.get(b"content-length", b"")
        inner = {
            **scope,
            "headers": [
                *((key, value) for key, value in scope["headers"] if key not in _REPLACED_HEADERS),
                (b"content-type", b"application/x-www-form-urlencoded"),
                (b"content-length", str(len(body)).encode()),
            ],
        }
        if form is not None:
            length = int(declared_bytes) if declared_bytes.isdigit() and len(declared_bytes) < 20 else 0
            inner[SCOPE_KEY] = UploadedStream(form, name, max(length - FORM_OVERHEAD_BYTES, 0))
        await self._application(inner, _once(body), send)


_REPLACED_HEADERS = frozenset({b"content-type", b"content-length", b"transfer-encoding"})


class _Form:
    """A multipart form that is parsed while it is received."""

    def __init__(self, receive: Receive, boundary: str) -> None:
        self._receive = receive
        self._parser = PushMultipartParser(boundary, max_segment_count=MAX_FIELDS)
        self._events = self._read()

    def events(self) -> AsyncIterator[Any]:
        """Return the parser's events: the start of a segment, chunks of its body, and None at its end."""
        return self._events

    async def fields(self) -> tuple[dict[str, str], str]:
        """Return the fields before the file and the file name, "" if there is no file."""
        fields: dict[str, str] = {}
        name, value = "", bytearray()
        async for event in self._events:
            if isinstance(event, MultipartSegment):
                if event.filename is not None:
                    return fields, event.filename
                name, value = event.name, bytearray()
            elif event is None:
                fields[name] = value.decode()
            else:
                value += event
                if len(value) > MAX_FIELD_BYTES:
                    raise UploadInterrupted("A field of the form is too long. Nothing was kept.")
        return fields, ""

    async def finish(self) -> None:
        """Read the rest of the form, which must not contain another file."""
        async for event in self._events:
            if isinstance(event, MultipartSegment) and event.filename is not None:
                raise UploadInterrupted("The form contains more than one file. Nothing was kept.")

    async def _read(self) -> AsyncIterator[Any]:
        more = True
        try:
            while more:
                message = await self._next()
                chunk, more = message.get("body", b""), message.get("more_body", False)
                if chunk:
                    for event in self._parser.parse(chunk):
                        yield event
            self._parser.close()
        except MultipartError as error:
            raise UploadInterrupted(
                f"The upload was incomplete ({error}). Nothing was kept. Upload the file again."
            ) from error

    async def _next(self) -> Message:
        try:
            message = await asyncio.wait_for(self._receive(), SILENCE_TIMEOUT_S)
        except TimeoutError:
            raise UploadInterrupted(
                f"The upload stalled for {SILENCE_TIMEOUT_S:.0f} s and was aborted. Nothing was kept."
            ) from None
        if message["type"] == "http.disconnect":
            raise UploadInterrupted("The connection was closed during the upload. Nothing was kept.")
        return message


def _once(body: bytes) -> Receive:
    """Return a `receive` function that yields a complete body, and no disconnect."""
    was_sent = False

    async def receive() -> Message:
        nonlocal was_sent
        if not was_sent:
            was_sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.Event().wait()  # Django cancels this after the response
        raise AssertionError("unreachable")

    return receive
