"""What may stand between us and a server, as real sockets: a pooler, a line that goes dead, other servers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from deployctl.postgres.connection import ConnectionSpec

# BackendKeyData: its type, its length, then the number of the process (PostgreSQL manual, 55.7).
KEY = b"K\x00\x00\x00\x0c"


class Line:
    """A proxy on a port of its own.

    `answer` sees and changes what the server sends; once `dead` is set, nothing comes through any more.
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
def line(spec: ConnectionSpec, answer: Callable[[bytes], bytes] = bytes) -> Iterator[Line]:
    """A proxy before a server."""
    made = Line(spec, answer)
    try:
        yield made
    finally:
        made.close()


def as_pooler(chunk: bytes) -> bytes:
    """What a server sends, with the number of another process, as a pooler gives."""
    start = chunk.find(KEY)
    if start < 0:
        return chunk
    start += len(KEY)
    return chunk[:start] + b"\x7f\x01\x02\x03" + chunk[start + 4 :]
