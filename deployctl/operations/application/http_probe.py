"""Send an HTTP request to an application, protected against server-side request forgery (SSRF).

A worker can reach more addresses than the author of a project file, above all the metadata services from
which cloud machines get their credentials. So the address is checked after the name is resolved, the
connection goes to that address, and redirects are reported but not followed.
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
CHECK_EVERY_S = 0.1
LARGEST_BODY_BYTES = 1024 * 1024
LONGEST_LOCATION = 200
# Metadata services of clouds that are not link-local: AWS over IPv6, Alibaba Cloud, Azure's wire server,
# Oracle Cloud Classic.
METADATA_SERVICES = frozenset(
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
EMPTY_OBJECT = json.dumps({}).encode()


class NoResponse(DeployctlError):
    """The application sent no valid response; the message gives the reason."""


class ForbiddenURL(DeployctlError):
    """A URL that deployctl never requests."""


@dataclass(frozen=True)
class Response:
    """A response: its status, the seconds until it was complete, and the target of a redirect."""

    status: int
    duration_s: float
    location: str | None


def send_request(
    method: str, url: str, *, timeout_s: float, check: Callable[[], None] = lambda: None
) -> Response:
    """Send one request and read the response.

    POST, PUT and PATCH send an empty JSON object.

    Args:
        method: such as "GET".
        url: http or https, without a user name.
        timeout_s: the total limit in seconds, including the name lookup. It also holds for an application
            that sends one byte at a time.
        check: called several times a second; an exception ends the request.

    Raises:
        ForbiddenURL: another scheme or a forbidden address.
        NoResponse: unknown name, connection refused, untrusted certificate, not HTTP, or timeout.
    """
    request = _Request(method, _parse(url))
    deadline = time.monotonic() + timeout_s
    request.start()
    try:
        while request.is_alive():
            check()
            if time.monotonic() > deadline:
                raise NoResponse(f"There was no complete response within {timeout_s:g} s.")
            request.join(CHECK_EVERY_S)
    finally:
        request.end()
    return request.result()


def allowed_addresses(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host.

    Raises:
        ForbiddenURL: at least one address is forbidden.
        NoResponse: the host doesn't exist.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NoResponse(f"The host name {host} can't be resolved.") from error
    texts = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in texts:
        # A scope such as fe80::1%eth0 belongs to link-local addresses only.
        if is_forbidden(ipaddress.ip_address(text.partition("%")[0])):
            raise ForbiddenURL(
                f"No request was sent: {host} has the address {text}, which is a link-local, multicast or "
                "reserved address or a cloud's metadata service. Correct the address in deployctl.toml."
            )
    return texts


def is_forbidden(address: Address) -> bool:
    """Return True if no request may go to an address; private and loopback addresses are allowed."""
    return any(
        candidate in METADATA_SERVICES
        or candidate.is_link_local
        or candidate.is_multicast
        or candidate.is_unspecified
        # Includes broadcast. Python considers most of IPv6 reserved, even ::1.
        or (isinstance(candidate, ipaddress.IPv4Address) and candidate.is_reserved)
        for candidate in _with_embedded_ipv4(address)
    )


def _with_embedded_ipv4(address: Address) -> list[Address]:
    """Return an address with the IPv4 address that it embeds."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.sixtofour is not None:
        return [address, address.sixtofour]
    if address in NAT64:
        return [address, ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    return [address]


def _parse(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ForbiddenURL(f"No request was sent to {url}: only http and https URLs are allowed.")
    if parts.username is not None or parts.password is not None:
        raise ForbiddenURL(
            "No request was sent, because the URL contains a user name. Remove it from deployctl.toml, "
            "which must not contain credentials."
        )
    return parts


class _Request(threading.Thread):
    """A request in a thread of its own, so that the caller can stop waiting for it."""

    def __init__(self, method: str, url: SplitResult) -> None:
        super().__init__(name="http request", daemon=True)
        self._method, self._url = method, url
        self._tls = url.scheme == "https"
        self._port = url.port or (443 if self._tls else 80)
        self._socket: socket.socket | None = None
        self._response: Response | None = None
        self._error: Exception | None = None

    def run(self) -> None:
        """Send the request, and store the response or the error for `result`."""
        try:
            self._response = self._send()
        except Exception as error:  # noqa: BLE001 - raised again by `result`, in the other thread
            self._error = error

    def end(self) -> None:
        """Shut down the connection, so that the thread ends."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def result(self) -> Response:
        """Return the response.

        Raises:
            ForbiddenURL, NoResponse: see `send_request`.
        """
        if self._response is not None:
            return self._response
        if isinstance(self._error, OSError | http.client.HTTPException):
            raise NoResponse(_error_message(self._error)) from self._error
        assert self._error is not None  # noqa: S101 - a thread that ended has one or the other
        raise self._error

    def _send(self) -> Response:
        started = time.monotonic()
        host = str(self._url.hostname)
        self._socket = plain = self._connect(allowed_addresses(host, self._port))
        with plain:
            connection = (http.client.HTTPSConnection if self._tls else http.client.HTTPConnection)(
                host, self._port
            )
            connection.auto_open = 0  # never open a connection to an unchecked address
            if self._tls:
                self._socket = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
            connection.sock = self._socket
            with contextlib.closing(connection):
                body = EMPTY_OBJECT if self._method in WITH_BODY else None
                headers = {"Accept": "*/*", "Connection": "close", "User-Agent": "deployctl"}
                if body is not None:
                    headers["Content-Type"] = "application/json"
                connection.request(self._method, self._path(), body=body, headers=headers)
                # An unclosed response would keep the connection open until it is garbage-collected.
                with connection.getresponse() as response:
                    # The body is only read to measure the time, up to a limit.
                    response.read(LARGEST_BODY_BYTES)
                    return Response(
                        status=response.status,
                        duration_s=time.monotonic() - started,
                        location=_printable(response.getheader("Location")),
                    )

    def _connect(self, addresses: Sequence[str]) -> socket.socket:
        last_error: OSError | None = None
        for address in addresses:
            try:
                connection = socket.create_connection((address, self._port), timeout=CONNECT_TIMEOUT_S)
            except OSError as error:
                last_error = error
                continue
            connection.settimeout(None)  # from here on, the timeout of `send_request` applies
            return connection
        raise last_error or NoResponse("The host name has no address.")

    def _path(self) -> str:
        query = quote(self._url.query, safe="/?%:@!$&'()*+,;=~-._[]")
        return quote(self._url.path or "/", safe="/%:@!$&'()*+,;=~-._") + (f"?{query}" if query else "")


def _error_message(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate isn't trusted: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return (
            f"The TLS handshake failed ({error.reason}). Check that the server supports https on this port."
        )
    if isinstance(error, http.client.IncompleteRead):
        return "The response is incomplete."
    if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
        return "The connection was closed without a response."
    if isinstance(error, http.client.HTTPException):
        return "The server doesn't speak HTTP."
    if isinstance(error, ConnectionRefusedError):
        return "The connection was refused."
    if isinstance(error, TimeoutError):
        return f"The connection timed out after {CONNECT_TIMEOUT_S:g} s."
    return f"The connection failed: {error.strerror if isinstance(error, OSError) else error}."


def _printable(location: str | None) -> str | None:
    """Return an untrusted header as a short printable text."""
    if location is None:
        return None
    return "".join(c if c.isprintable() else " " for c in location)[:LONGEST_LOCATION]
