"""Tests for HTTP requests to an application: responses, failures and forbidden addresses."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deployctl.operations.application import http_probe
from deployctl.operations.framework.base import Cancelled, OperationFailed, Outcome
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.http_check import HttpCheck
from tests.operations.projects import job_for, write_project
from tests.waiting import until

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


class Application(http.server.BaseHTTPRequestHandler):
    """A small application; `requests` collects its requests, `done` is set at the end of the test."""

    requests: list[tuple[str, str, bytes]]
    done: threading.Event

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.requests.append((self.command, self.path, body))
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data/")
            self.end_headers()
        elif self.path == "/drip":
            self.send_response(200)
            self.end_headers()
            while not self.done.wait(0.1):
                self.wfile.write(b".")
        elif self.path == "/hang":
            self.done.wait()
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"20\r\nand then")
        elif self.path == "/garbage":
            self.wfile.write(b"220 mail.example.org ESMTP\r\n")
        else:
            self.send_response(500 if self.path == "/broken" else 201 if self.command == "POST" else 200)
            self.end_headers()

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def requests() -> list[tuple[str, str, bytes]]:
    return []


@pytest.fixture
def server(requests: list[tuple[str, str, bytes]]) -> Iterator[http.server.ThreadingHTTPServer]:
    done = threading.Event()
    handler = type("Handler", (Application,), {"requests": requests, "done": done})

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Ignore clients that disconnect, as in some tests."""

    with Server(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        done.set()
        running.shutdown()


@pytest.fixture
def base(server: http.server.ThreadingHTTPServer) -> str:
    return f"http://localhost:{server.server_address[1]}"


def job_of(folder: Path, health: str, endpoints: str = "", *, timeout_s: int = 10) -> FakeJob:
    toml = f'[migrations]\ntool = "sql"\n[application]\nhealth = "{health}"\nendpoints = [{endpoints}]\n'
    return job_for(
        write_project(folder, toml), NOWHERE, params=HttpCheck.parse_params({"timeout_s": timeout_s})
    )


def check(*given: Any, **more: Any) -> Outcome:
    return HttpCheck().perform(job_of(*given, **more))


def test_health_and_endpoints_of_the_project_are_requested(
    tmp_path: Path, base: str, requests: list[tuple[str, str, bytes]]
) -> None:
    job = job_of(
        tmp_path,
        f"{base}/health",
        '{ method = "POST", path = "/api/v1/auth/register", expect = [201, 422] },'
        '{ method = "GET", path = "/a b?q=ü&x=1", expect = [200] }',
    )

    outcome = HttpCheck().perform(job)

    assert outcome.summary == "3 endpoints respond as expected."
    assert requests == [
        ("GET", "/health", b""),
        ("POST", "/api/v1/auth/register", b"{}"),
        ("GET", "/a%20b?q=%C3%BC&x=1", b""),
    ]
    assert job.steps == [
        (f"GET {base}/health", "succeeded"),
        (f"POST {base}/api/v1/auth/register", "succeeded"),
        (f"GET {base}/a b?q=ü&x=1", "succeeded"),
    ]
    (health, register, _) = list(outcome.facts["answers"])  # type: ignore[arg-type]
    assert (health["status"], health["expected"]) == (200, "2xx")  # type: ignore[index,call-overload]
    assert (register["status"], register["expected"]) == (201, "201 or 422")  # type: ignore[index,call-overload]


def test_every_unexpected_response_is_reported(tmp_path: Path, base: str) -> None:
    with pytest.raises(OperationFailed) as caught:
        check(tmp_path, f"{base}/broken", '{ method = "GET", path = "/fine", expect = [404] }')

    assert "2 of 2 endpoints did not respond as expected." in str(caught.value)
    assert f"GET {base}/broken: status 500; expected 2xx." in str(caught.value)
    assert f"GET {base}/fine: status 200; expected 404." in str(caught.value)


def test_a_redirect_is_reported_and_not_followed(
    tmp_path: Path, base: str, requests: list[tuple[str, str, bytes]]
) -> None:
    with pytest.raises(
        OperationFailed, match=r"status 302, a redirect to http://169.254.169.254/.* not followed"
    ):
        check(tmp_path, f"{base}/moved")
    assert len(requests) == 1


@pytest.mark.parametrize("path", ["/hang", "/drip"])
def test_the_time_limit_applies_to_the_whole_response(
    tmp_path: Path, base: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, f"{base}{path}", timeout_s=1)
    checks: list[None] = []
    monkeypatch.setattr(job, "raise_if_cancelled", lambda: checks.append(None))

    with pytest.raises(OperationFailed, match="no complete response within 1 s"):
        HttpCheck().perform(job)
    # The number of checks times their interval, which doesn't depend on the load of the machine.
    assert len(checks) * http_probe.CHECK_EVERY_S < 3


def test_a_cancellation_does_not_wait_for_the_response(
    tmp_path: Path, base: str, requests: list[tuple[str, str, bytes]]
) -> None:
    job = job_of(tmp_path, f"{base}/hang", timeout_s=60)

    def cancel() -> None:
        try:
            until(lambda: requests)
        finally:
            job.cancel()

    person = threading.Thread(target=cancel)
    person.start()
    with pytest.raises(Cancelled):
        HttpCheck().perform(job)
    person.join()


def test_an_incomplete_response_closes_the_connection(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []
    connect = socket.create_connection

    def connected(*given: Any, **more: Any) -> socket.socket:
        made.append(connect(*given, **more))
        return made[-1]

    monkeypatch.setattr(socket, "create_connection", connected)
    # The reference to the error keeps the request thread's objects from being garbage-collected.
    with pytest.raises(http_probe.NoResponse, match="The response is incomplete") as held:
        http_probe.send_request("GET", f"{base}/short", timeout_s=60)

    assert [one.fileno() for one in made] == [-1], held


def test_a_refused_connection_and_another_protocol_are_distinguished(tmp_path: Path, base: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OperationFailed, match="The connection was refused"):
            check(tmp_path, f"http://127.0.0.1:{taken.getsockname()[1]}/")
    with pytest.raises(OperationFailed, match="doesn't speak HTTP"):
        check(tmp_path, f"{base}/garbage")
    with pytest.raises(OperationFailed, match=r"TLS handshake failed .*supports https"):
        check(tmp_path, base.replace("http:", "https:"))
    with pytest.raises(OperationFailed, match=r"The host name nowhere\.invalid can't be resolved"):
        check(tmp_path, "http://nowhere.invalid/", timeout_s=60)  # name servers may be slow


def test_an_untrusted_certificate_is_rejected(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def do_handshake() -> None:
            plain, _ = listener.accept()
            with plain, pytest.raises(OSError, match=r"unknown ca|closed|reset|alert"):
                context.wrap_socket(plain, server_side=True).recv(1)

        thread = threading.Thread(target=do_handshake)
        thread.start()
        with pytest.raises(OperationFailed, match="certificate isn't trusted: self"):
            check(tmp_path, f"https://localhost:{listener.getsockname()[1]}/")
        thread.join()


@pytest.mark.parametrize(
    "health",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:169.254.169.254]/",
        "http://100.100.100.200/",
        "http://2852039166/",  # 169.254.169.254 as one number
        "http://0.0.0.0/",
    ],
)
def test_metadata_and_link_local_addresses_are_rejected(tmp_path: Path, health: str) -> None:
    with pytest.raises(OperationFailed, match="No request was sent"):
        check(tmp_path, health)


def test_a_name_that_resolves_to_a_metadata_address_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: found)

    with pytest.raises(OperationFailed, match=r"app\.example has the address 169\.254\.169\.254"):
        check(tmp_path, "http://app.example/")


@pytest.mark.parametrize(
    ("address", "forbidden"),
    [
        ("127.0.0.1", False),
        ("::1", False),
        ("10.1.2.3", False),
        ("192.168.1.1", False),
        ("fd12::1", False),
        ("203.0.114.7", False),
        ("64:ff9b::a9fe:a9fe", True),
        ("64:ff9b::808:808", False),
        ("2002:a9fe:a9fe::1", True),
        ("224.0.0.1", True),
        ("255.255.255.255", True),
        ("::", True),
    ],
)
def test_private_addresses_are_allowed_and_embedded_ones_are_checked(address: str, forbidden: bool) -> None:  # noqa: FBT001
    assert http_probe.is_forbidden(ipaddress.ip_address(address)) is forbidden


def test_other_schemes_and_user_names_are_rejected(tmp_path: Path, base: str) -> None:
    with pytest.raises(http_probe.ForbiddenURL, match="only http and https"):
        http_probe.send_request("GET", "file:///etc/passwd", timeout_s=1)
    with pytest.raises(OperationFailed, match="the URL contains a user name"):
        check(tmp_path, base.replace("//", "//me:secret@"))


def test_an_endpoint_cannot_change_the_host(tmp_path: Path, base: str) -> None:
    with pytest.raises(OperationFailed, match="expected 404"):
        check(tmp_path, base, '{ method = "GET", path = "//elsewhere.example/", expect = [404] }')


def test_a_project_without_a_health_url_is_reported(tmp_path: Path) -> None:
    project = write_project(tmp_path, '[migrations]\ntool = "sql"\n')
    with pytest.raises(OperationFailed, match=r"has no address of the application.*health = "):
        HttpCheck().perform(job_for(project, NOWHERE, params=HttpCheck.Params()))
