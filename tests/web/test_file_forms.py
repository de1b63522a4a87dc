"""Forms with a large file: the application has the fields at once, and the file as it comes."""

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
GONE = {"type": "http.disconnect"}


class Seen:
    """What the application was given."""

    body = b""
    name: str | None = None
    file = b""
    before_file = 0
    headers: dict[bytes, bytes]


def sent(
    *parts: bytes | dict[str, str] | None, path: str = "/up", kind: str = "multipart/form-data; boundary=B"
) -> Seen:
    """Post these parts; None is a sender that falls silent."""
    seen, messages, taken = Seen(), iter(parts), 0

    async def receive() -> Any:
        nonlocal taken
        part = next(messages, GONE)
        taken += 1
        if part is None:
            await asyncio.Event().wait()
        return (
            part
            if isinstance(part, dict)
            else {"type": "http.request", "body": part, "more_body": taken < len(parts)}
        )

    async def application(scope: Any, receive: Any, _send: Any) -> None:
        seen.body = (await receive())["body"]
        seen.headers = dict(scope["headers"])
        seen.before_file = taken
        file: UploadedStream | None = scope.get(SCOPE_KEY)
        if file is not None:
            seen.name = file.name
            async for chunk in file.chunks():
                seen.file += chunk

    scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"content-type", kind.encode())]}
    asyncio.run(FileForms(application, paths=re.compile("/up"))(scope, receive, lambda _: None))  # type: ignore[arg-type,return-value]
    return seen


def test_the_fields_are_available_before_the_file_is_read() -> None:
    seen = sent(FIELD + WHOLE[:70], WHOLE[70:], END)
    assert seen.body == b"origin=on"
    assert seen.file == b"PGDMP"
    assert seen.before_file == 1
    assert seen.headers[b"content-type"] == b"application/x-www-form-urlencoded"
    assert seen.headers[b"content-length"] == b"9"


def test_other_paths_and_forms_are_passed_on_unchanged() -> None:
    whole = FIELD + FILE % (b"x", b"1") + END
    assert sent(whole, path="/upper").body == whole
    assert sent(b"origin=on", kind="application/x-www-form-urlencoded").body == b"origin=on"


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((FIELD + WHOLE[:-2], GONE), "went away"),
        ((FIELD + WHOLE[:-2],), "did not arrive whole"),
        ((FIELD + FILE % (b"x", b"1") + FILE % (b"y", b"2") + END,), "more than one file"),
        ((FIELD + FILE % (b"x", b"1") + b"--B\rrubbish", GONE), "went away|did not arrive whole"),
    ],
)
def test_an_incomplete_file_is_reported(parts: Any, words: str) -> None:
    with pytest.raises(UploadInterrupted, match=words):
        sent(*parts)


def test_a_stalled_upload_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_forms, "SILENCE_TIMEOUT_S", 0.05)
    with pytest.raises(UploadInterrupted, match="was silent"):
        sent(FIELD + WHOLE[:-2], None)


@pytest.mark.parametrize(
    "parts",
    [
        (b"no form at all" * 10, END),
        (FIELD.replace(b"on\r\n", b"o" * 100_000 + b"\r\n"), END),
        (b"--B\r\n" + b"X: " + b"y" * 100_000, END),
        (FIELD * 50, END),
        (b"", GONE),
    ],
)
def test_a_malformed_form_becomes_an_empty_form(parts: Any) -> None:
    seen = sent(*parts)
    assert seen.body == b""
    assert not seen.name
