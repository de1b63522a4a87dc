"""No request is larger than it may be: Django would write it to the disk first, whoever sent it."""

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
    """Around an ASGI application: 413 for a body beyond a limit, before or while it is read."""

    def __init__(self, application: Application, *, at_most: int) -> None:
        """Wrap an application.

        Args:
            application: gets every request that is small enough.
            at_most: bytes of a body, uploaded files and the forms around them included.
        """
        self._application = application
        self._at_most = at_most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        if self._announced(scope) > self._at_most:
            await self._refuse(send)
            return
        read, refused = 0, False

        async def counting() -> Message:
            nonlocal read, refused
            message = await receive()
            read += len(message.get("body", b""))
            refused = refused or read > self._at_most
            # Django then forgets the request, and what it wrote to the disk.
            return {"type": "http.disconnect"} if refused else message

        await self._application(scope, counting, send)
        if refused:
            await self._refuse(send)

    def _announced(self, scope: Scope) -> int:
        lengths = (value for name, value in scope["headers"] if name == b"content-length")
        length: bytes = next(lengths, b"")
        return int(length) if length.isdigit() and len(length) < 20 else 0

    async def _refuse(self, send: Send) -> None:
        megabytes = self._at_most // 1024**2
        sentence = f"This is larger than {megabytes} MB. Nothing was kept; send less, or a link to it.\n"
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"x-content-type-options", b"nosniff"),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": TOO_LARGE, "headers": headers})
        await send({"type": "http.response.body", "body": sentence.encode()})
