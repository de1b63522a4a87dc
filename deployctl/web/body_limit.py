"""Limit the size of request bodies before Django writes them to the disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

TOO_LARGE = 413


class BodyLimit:
    """An ASGI middleware that answers 413 to a request whose body exceeds a limit."""

    def __init__(self, application: Application, *, max_bytes: int) -> None:
        """Wrap an application.

        Args:
            application: the wrapped application.
            max_bytes: the limit for a body in bytes, including uploaded files and the fields around them.
        """
        self._application = application
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        if self._content_length(scope) > self._max_bytes:
            await self._reject(send)
            return
        read, rejected = 0, False

        async def counting_receive() -> Message:
            nonlocal read, rejected
            message = await receive()
            read += len(message.get("body", b""))
            rejected = rejected or read > self._max_bytes
            # Makes Django drop the request and remove its temporary files.
            return {"type": "http.disconnect"} if rejected else message

        await self._application(scope, counting_receive, send)
        if rejected:
            await self._reject(send)

    def _content_length(self, scope: Scope) -> int:
        lengths = (value for name, value in scope["headers"] if name == b"content-length")
        length: bytes = next(lengths, b"")
        return int(length) if length.isdigit() and len(length) < 20 else 0

    async def _reject(self, send: Send) -> None:
        megabytes = self._max_bytes // 1024**2
        sentence = f"The request is larger than {megabytes} MB. Nothing was kept. Send less, or a link.\n"
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"x-content-type-options", b"nosniff"),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": TOO_LARGE, "headers": headers})
        await send({"type": "http.response.body", "body": sentence.encode()})
