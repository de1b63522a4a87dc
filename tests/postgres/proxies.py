"""A TCP proxy in front of a server, which can imitate a pooler or stop forwarding."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from deployctl.postgres.connection import ConnectionSpec

# The type and length of BackendKeyData; the process ID follows (PostgreSQL manual, "Message Formats").
KEY = b"K\x00\x00\x00\x0c"


class Proxy:
    """A proxy on a free port.

    `answer` transforms the server's data; while `dead` is set, data is discarded.
    """

    def __init__(self, spec: ConnectionSpec, answer: Callable[[bytes], bytes]) -> None:
        self.dead = threading.Event()
        self._spec, self._answer = spec, answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: list[socket.socket] = [self._listening]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection((self._spec.host, self._spec.port))
                self._open += [client, server]
                for source, sink, change in ((client, server, bytes), (server, client, self._answer)):
                    threading.Thread(target=self._pump, args=(source, sink, change), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, change: Callable[[bytes], bytes]) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                if not self.dead.is_set():
                    sink.sendall(change(chunk))
            sink.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextlib.contextmanager
def proxy_to(spec: ConnectionSpec, answer: Callable[[bytes], bytes] = bytes) -> Iterator[Proxy]:
    """Run a proxy in front of a server."""
    opened = Proxy(spec, answer)
    try:
        yield opened
    finally:
        opened.close()


def as_pooler(chunk: bytes) -> bytes:
    """Replace the process ID in the server's data, as a pooler does."""
    start = chunk.find(KEY)
    if start < 0:
        return chunk
    start += len(KEY)
    return chunk[:start] + b"\x7f\x01\x02\x03" + chunk[start + 4 :]
