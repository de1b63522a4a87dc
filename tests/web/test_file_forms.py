"""Forms with a file: the application gets the fields first, and the file as a stream."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from deployctl.web import file_forms
from deployctl.web.file_forms import SCOPE_KEY, FileForms, UploadedStream, UploadInterrupted

FIELD = b'--B\r\nContent-Disposition: form-data; name="origin"\r\n\r\non\r\n'
FILE = b'--B\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s\r\n'
WHOLE = FILE % (b"x", b"PGDMP")
END = b"--B--\r\n"
DISCONNECT = {"type": "http.disconnect"}


class Received:
    """The data that the application received."""

    body = b""
    name: str | None = None
    file = b""
    before_file = 0
    headers: dict[bytes, bytes]


def post(
    *parts: bytes | dict[str, str] | None, path: str = "/up", kind: str = "multipart/form-data; boundary=B"
) -> Received:
    """Post these parts; None is a client that stalls."""
    seen, messages, messages_read = Received(), iter(parts), 0

    async def receive() -> Any:
        nonlocal messages_read
        part = next(messages, DISCONNECT)
        messages_read += 1
        if part is None:
            await asyncio.Event().wait()
        return (
            part
            if isinstance(part, dict)
            else {"type": "http.request", "body": part, "more_body": messages_read < len(parts)}
        )

    async def application(scope: Any, receive: Any, _send: Any) -> None:
        seen.body = (await receive())["body"]
        seen.headers = dict(scope["headers"])
        seen.before_file = messages_read
        file: UploadedStream | None = scope.get(SCOPE_KEY)
        if file is not None:
            seen.name = file.name
            async for chunk in file.chunks():
                seen.file += chunk

    scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"content-type", kind.encode())]}
    asyncio.run(FileForms(application, paths=re.compile("/up"))(scope, receive, lambda _: None))  # type: ignore[arg-type,return-value]
    return seen


def test_the_fields_are_available_before_the_file_is_read() -> None:
    seen = post(FIELD + WHOLE[:70], WHOLE[70:], END)
    assert seen.body == b"origin=on"
    assert seen.file == b"PGDMP"
    assert seen.before_file == 1
    assert seen.headers[b"content-type"] == b"application/x-www-form-urlencoded"
    assert seen.headers[b"content-length"] == b"9"


def test_other_paths_and_forms_are_passed_on_unchanged() -> None:
    whole = FIELD + FILE % (b"x", b"1") + END
    assert post(whole, path="/upper").body == whole
    assert post(b"origin=on", kind="application/x-www-form-urlencoded").body == b"origin=on"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((FIELD + WHOLE[:-2], DISCONNECT), "connection was closed"),
        ((FIELD + WHOLE[:-2],), "was incomplete"),
        ((FIELD + FILE % (b"x", b"1") + FILE % (b"y", b"2") + END,), "more than one file"),
        ((FIELD + FILE % (b"x", b"1") + b"--B\rrubbish", DISCONNECT), "connection was closed|was incomplete"),
    ],
)
def test_an_incomplete_file_is_reported(parts: Any, message: str) -> None:
    with pytest.raises(UploadInterrupted, match=message):
        post(*parts)


def test_a_stalled_upload_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_forms, "SILENCE_TIMEOUT_S", 0.05)
    with pytest.raises(UploadInterrupted, match="stalled"):
        post(FIELD + WHOLE[:-2], None)


@pytest.mark.parametrize(
    "parts",
    [
        (b"no form at all" * 10, END),
        (FIELD.replace(b"on\r\n", b"o" * 100_000 + b"\r\n"), END),
        (b"--B\r\n" + b"X: " + b"y" * 100_000, END),
        (FIELD * 50, END),
        (b"", DISCONNECT),
    ],
)
def test_a_malformed_form_becomes_an_empty_form(parts: Any) -> None:
    seen = post(*parts)
    assert seen.body == b""
    assert not seen.name
