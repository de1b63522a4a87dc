"""Forms with a large file: Django is given the form at once, and the file while it still comes in.

Django by itself would first write the whole body to the disk, whoever sent it, then once more for the view.
Here session, permissions and the form's token are checked before the first byte of the file is taken, and the
view writes it where it belongs. It limits the file; everything around it is limited here.
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

KEY = "deployctl.file"
FIELDS_AT_MOST = 20
FIELD_BYTES_AT_MOST = 64 * 1024
# What a form with a few short fields adds to its file, generously.
AROUND_BYTES = 4096
# A sender that falls silent this long in the middle is given up, in seconds.
SILENT_AT_MOST_S = 60.0


class UploadInterrupted(DeployctlError):
    """The file did not arrive whole."""


class UploadedStream:
    """The file of a form, still on its way.

    `name` is what the sender calls it; `announced` how many bytes it has at least, 0 where that is not said.
    """

    def __init__(self, form: _Form, name: str, announced: int) -> None:
        self.name, self.announced = name, announced
        self._form = form

    async def chunks(self) -> AsyncIterator[bytes]:
        """The file, piece by piece.

        Raises:
            UploadInterrupted: the sender went away, fell silent, or sent what is no form.
        """
        async for event in self._form.events():
            if event is None:
                await self._form.read_to_end()
                return
            if isinstance(event, MultipartSegment):
                raise UploadInterrupted("The form holds more than one file. Nothing was kept.")
            yield bytes(event)


def uploaded_stream(request: HttpRequest) -> UploadedStream:
    """The file that comes with a request.

    Raises:
        InvalidInput: there is none.
    """
    found: UploadedStream | None = getattr(request, "scope", {}).get(KEY)
    if found is None or not found.name:
        raise InvalidInput("No file was chosen. Nothing was kept. Choose one, then send it again.")
    return found


class FileForms:
    """Around an ASGI application: takes the file out of the forms that are posted to some addresses."""

    def __init__(self, application: Application, *, paths: re.Pattern[str]) -> None:
        """Wrap an application.

        Args:
            application: gets every other request as it is; of these the fields before the file as the body,
                and the file as `scope[KEY]`.
            paths: the addresses, matched whole.
        """
        self._application = application
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
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
            # An empty form: whoever may send one at all is told what is missing.
            fields, form, name = {}, None, ""
        body = urlencode(fields).encode()
        announced = headers.get(b"content-length", b"")
        inner = {
            **scope,
            "headers": [
                *((key, value) for key, value in scope["headers"] if key not in _REPLACED),
                (b"content-type", b"application/x-www-form-urlencoded"),
                (b"content-length", str(len(body)).encode()),
            ],
        }
        if form is not None:
            length = int(announced) if announced.isdigit() and len(announced) < 20 else 0
            inner[KEY] = UploadedStream(form, name, max(length - AROUND_BYTES, 0))
        await self._application(inner, _once(body), send)


_REPLACED = frozenset({b"content-type", b"content-length", b"transfer-encoding"})


class _Form:
    """A form that is parsed as it comes."""

    def __init__(self, receive: Receive, boundary: str) -> None:
        self._receive = receive
        self._parser = PushMultipartParser(boundary, max_segment_count=FIELDS_AT_MOST)
        self._events = self._read()

    def events(self) -> AsyncIterator[Any]:
        """What comes next: a segment that begins, a piece of it, or None where it ends."""
        return self._events

    async def fields(self) -> tuple[dict[str, str], str]:
        """The fields before the file, and what the file is called: "" where there is none."""
        found: dict[str, str] = {}
        name, value = "", bytearray()
        async for event in self._events:
            if isinstance(event, MultipartSegment):
                if event.filename is not None:
                    return found, event.filename
                name, value = event.name, bytearray()
            elif event is None:
                found[name] = value.decode()
            else:
                value += event
                if len(value) > FIELD_BYTES_AT_MOST:
                    raise UploadInterrupted("A field of the form is too long.")
        return found, ""

    async def read_to_end(self) -> None:
        """After the file nothing of weight may come: only then has it arrived whole."""
        async for event in self._events:
            if isinstance(event, MultipartSegment) and event.filename is not None:
                raise UploadInterrupted("The form holds more than one file. Nothing was kept.")

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
                f"The file did not arrive whole ({error}). Nothing was kept. Send it again."
            ) from error

    async def _next(self) -> Message:
        try:
            message = await asyncio.wait_for(self._receive(), SILENT_AT_MOST_S)
        except TimeoutError:
            raise UploadInterrupted(
                f"The sender was silent for {SILENT_AT_MOST_S:.0f} s. Nothing was kept."
            ) from None
        if message["type"] == "http.disconnect":
            raise UploadInterrupted("The sender went away in the middle. Nothing was kept.")
        return message


def _once(body: bytes) -> Receive:
    """A body that is there at once; whether the sender is still there the file's reader finds out."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.Event().wait()  # until Django, having answered, stops asking
        raise AssertionError("nobody sets it")

    return receive
