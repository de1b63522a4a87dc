"""Asking an application over HTTP, without being led anywhere else than where its project says.

A worker can reach more than the person who wrote a project file, above all the addresses at which cloud
machines are given their credentials. So the address is looked at after the name was resolved, the connection
goes to that very address, and a redirect is an answer, not a way.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

from deployctl.errors import DeployctlError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

CONNECT_TIMEOUT_S = 5.0
LOOK_EVERY_S = 0.1
LARGEST_BODY_BYTES = 1024 * 1024
LONGEST_LOCATION = 200
# At these, clouds hand out credentials and settings to whoever asks. Most are link-local; these are not:
# AWS over IPv6, Alibaba Cloud, Azure's wire server, Oracle Cloud's first generation.
METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
EMPTY_OBJECT = json.dumps({}).encode()


class NoAnswer(DeployctlError):
    """The application gave no answer that could be read; the message says why."""


class Forbidden(DeployctlError):
    """A place that is not asked, whatever a project file says."""


@dataclass(frozen=True)
class Answer:
    """What came back: status, seconds until all of it was there, and where a redirect points."""

    status: int
    duration_s: float
    location: str | None


def ask(method: str, url: str, *, timeout_s: float, check: Callable[[], None] = lambda: None) -> Answer:
    """Send one request and read its answer.

    POST, PUT and PATCH send an empty JSON object.

    Args:
        method: such as "GET".
        url: http or https, without a user name.
        timeout_s: for everything together, looking up the name included; an application that sends one byte
            at a time gets no longer.
        check: called several times a second; what it raises ends the request.

    Raises:
        Forbidden: another scheme, or an address that is never asked.
        NoAnswer: unknown name, nobody listens, a certificate without trust, not HTTP, too slow.
    """
    exchange = _Exchange(method, _checked(url))
    deadline = time.monotonic() + timeout_s
    exchange.start()
    try:
        while exchange.is_alive():
            check()
            if time.monotonic() > deadline:
                raise NoAnswer(f"There was no complete answer within {timeout_s:g} s.")
            exchange.join(LOOK_EVERY_S)
    finally:
        exchange.end()
    return exchange.result()


def allowed_addresses(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, all of which may be asked.

    Raises:
        Forbidden: any of them may not; one good address does not excuse a bad one.
        NoAnswer: there is no such host.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NoAnswer(f"The name {host} is not known.") from error
    texts = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in texts:
        # A scope such as fe80::1%eth0 belongs to link-local addresses only.
        if is_forbidden(ipaddress.ip_address(text.partition("%")[0])):
            raise Forbidden(
                f"{host} has the address {text}, which is link-local, a cloud's metadata service or no "
                "single machine, and is not asked. Correct the address in deployctl.toml."
            )
    return texts


def is_forbidden(address: Address) -> bool:
    """Whether an address is never asked. Private and local ones may be: applications live there."""
    for inner in _inside(address):
        if (
            inner in METADATA
            or inner.is_link_local
            or inner.is_multicast
            or inner.is_unspecified
            # Broadcast among them. Python calls most of IPv6 reserved, ::1 too.
            or (isinstance(inner, ipaddress.IPv4Address) and inner.is_reserved)
        ):
            return True
    return False


def _inside(address: Address) -> list[Address]:
    """An address, and the IPv4 address that it is another way of writing."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.sixtofour is not None:
        return [address, address.sixtofour]
    if address in NAT64:
        return [address, ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    return [address]


def _checked(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Forbidden(f"{url} is not asked: only http and https addresses are.")
    if parts.username is not None or parts.password is not None:
        raise Forbidden("An address with a user name is not asked: deployctl.toml is no place for passwords.")
    return parts


class _Exchange(threading.Thread):
    """One request in a thread of its own, so that whoever waits for it can stop waiting."""

    def __init__(self, method: str, url: SplitResult) -> None:
        super().__init__(name="http request", daemon=True)
        self._method, self._url = method, url
        self._tls = url.scheme == "https"
        self._port = url.port or (443 if self._tls else 80)
        self._socket: socket.socket | None = None
        self._answer: Answer | None = None
        self._error: Exception | None = None

    def run(self) -> None:
        """Ask, and keep what came of it for the thread that waits."""
        try:
            self._answer = self._exchange()
        except Exception as error:  # noqa: BLE001 - raised again by `result`, in the other thread
            self._error = error

    def end(self) -> None:
        """Take the connection away, so that the thread ends."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def result(self) -> Answer:
        """The answer.

        Raises:
            Forbidden, NoAnswer.
        """
        if self._answer is not None:
            return self._answer
        if isinstance(self._error, OSError | http.client.HTTPException):
            raise NoAnswer(_sentence(self._error)) from self._error
        assert self._error is not None  # noqa: S101 - a thread that ended has one or the other
        raise self._error

    def _exchange(self) -> Answer:
        started = time.monotonic()
        host = str(self._url.hostname)
        self._socket = plain = self._connected(allowed_addresses(host, self._port))
        with plain:
            connection = (http.client.HTTPSConnection if self._tls else http.client.HTTPConnection)(
                host, self._port
            )
            connection.auto_open = 0  # only the connection whose address was looked at
            if self._tls:
                self._socket = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
            connection.sock = self._socket
            with contextlib.closing(connection):
                body = EMPTY_OBJECT if self._method in WITH_BODY else None
                headers = {"Accept": "*/*", "Connection": "close", "User-Agent": "deployctl"}
                if body is not None:
                    headers["Content-Type"] = "application/json"
                connection.request(self._method, self._path(), body=body, headers=headers)
                # Closed here and not when it is collected: it keeps the connection open by itself.
                with connection.getresponse() as response:
                    # The status is what counts; of an endless body no more than this is read.
                    response.read(LARGEST_BODY_BYTES)
                    return Answer(
                        status=response.status,
                        duration_s=time.monotonic() - started,
                        location=_shown(response.getheader("Location")),
                    )

    def _connected(self, addresses: Sequence[str]) -> socket.socket:
        refused: OSError | None = None
        for address in addresses:
            try:
                connected = socket.create_connection((address, self._port), timeout=CONNECT_TIMEOUT_S)
            except OSError as error:
                refused = error
                continue
            connected.settimeout(None)  # from here on the deadline of `ask` counts
            return connected
        raise refused or NoAnswer("The name has no address.")

    def _path(self) -> str:
        query = quote(self._url.query, safe="/?%:@!$&'()*+,;=~-._[]")
        return quote(self._url.path or "/", safe="/%:@!$&'()*+,;=~-._") + (f"?{query}" if query else "")


def _sentence(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"Its certificate is not trusted: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return f"No encrypted connection came about ({error.reason}). Does it speak https there?"
    if isinstance(error, http.client.IncompleteRead):
        return "The answer broke off."
    if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
        return "The connection was closed without an answer."
    if isinstance(error, http.client.HTTPException):
        return "What answers there does not speak HTTP."
    if isinstance(error, ConnectionRefusedError):
        return "Nobody listens there (connection refused)."
    if isinstance(error, TimeoutError):
        return f"Nobody answers there: no connection within {CONNECT_TIMEOUT_S:g} s."
    return f"It cannot be reached: {error.strerror if isinstance(error, OSError) else error}."


def _shown(location: str | None) -> str | None:
    """A header that anybody may have written, as one short printable text."""
    if location is None:
        return None
    return "".join(c if c.isprintable() else " " for c in location)[:LONGEST_LOCATION]
