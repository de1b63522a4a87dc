"""Test secrets from Vault with the real client against a fake server of Vault's key-value API."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from deployctl.secrets import SecretError, check_reference, resolve
from deployctl.secrets.sources import vault

TOKEN = "hvs.test"
MOUNTS = {"kv1/": "1", "secret/": "2", "deep/mount/": "2"}
SECRETS: dict[str, Any] = {
    "/v1/kv1/shop": {"url": "one"},
    "/v1/secret/data/shop/db": {"data": {"url": "two", "number": 7, "empty": ""}},
    "/v1/deep/mount/data/shop": {"data": {"url": "three"}},
    "/v1/secret/data/broken": [],
}


class Handler(BaseHTTPRequestHandler):
    """Respond as documented in Vault's HTTP API. `finished` is set at the end of the test."""

    finished: Event

    def do_GET(self) -> None:
        status, body = self.answer()
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # the client timed out
            self.wfile.write(content)

    def answer(self) -> tuple[int, Any]:
        if self.path.startswith("/v1/sys/internal/ui/mounts/sealed/"):
            return 503, {"errors": ["Vault is sealed"]}
        if self.path.startswith("/v1/sys/internal/ui/mounts/slow/"):
            self.finished.wait()
        if self.headers.get("X-Vault-Token") != TOKEN:
            return 403, {"errors": ["permission denied"]}
        prefix = "/v1/sys/internal/ui/mounts/"
        if self.path.startswith(prefix):
            for path, version in MOUNTS.items():
                if self.path.removeprefix(prefix).startswith(path):
                    return 200, {"data": {"path": path, "type": "kv", "options": {"version": version}}}
            return 403, {"errors": ["preflight capability check returned 403"]}
        if self.path == "/v1/secret/data/deleted":
            metadata = {"deletion_time": "2026-01-01T00:00:00Z", "destroyed": False}
            return 404, {"data": {"data": None, "metadata": metadata}}
        if self.path in SECRETS:
            return 200, {"data": SECRETS[self.path]}
        return 404, {"errors": []}

    def log_message(self, *args: object) -> None:
        """Suppress the request log."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    finished = Event()
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("TestHandler", (Handler,), {"finished": finished}))
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    address = f"http://127.0.0.1:{http.server_address[1]}"
    monkeypatch.setenv("VAULT_ADDR", address)
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    yield address
    finished.set()
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("vault:kv1/shop#url", "one"),
        ("vault:secret/shop/db#url", "two"),
        ("vault:deep/mount/shop#url", "three"),
    ],
)
def test_a_field_is_read_from_both_engine_versions(server: str, reference: str, value: str) -> None:
    assert resolve(reference).reveal() == value


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("vault:secret/shop/db#nothing", "has no field nothing. It has: empty, number, url"),
        ("vault:secret/shop/db#number", "empty or not a string"),
        ("vault:secret/shop/db#empty", "empty or not a string"),
        ("vault:secret/missing#url", "has no secret at secret/missing"),
        ("vault:secret/deleted#url", "newest version was deleted"),
        ("vault:elsewhere/shop#url", "does not let this token read"),
        ("vault:sealed/shop#url", "is sealed or in standby"),
        ("vault:secret/broken#url", "unexpected response"),
    ],
)
def test_every_refusal_of_vault_has_an_error_message(server: str, reference: str, words: str) -> None:
    with pytest.raises(SecretError, match=words):
        resolve(reference)


def test_the_token_file_is_read_on_every_access(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("VAULT_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(SecretError, match="cannot be read"):
        resolve("vault:kv1/shop#url")
    (tmp_path / "token").write_text("\n")
    with pytest.raises(SecretError, match="is empty"):
        resolve("vault:kv1/shop#url")
    (tmp_path / "token").write_text("expired\n")
    with pytest.raises(SecretError, match="has expired"):
        resolve("vault:kv1/shop#url")
    (tmp_path / "token").write_text(f"{TOKEN}\n")

    assert resolve("vault:kv1/shop#url").reveal() == "one"


def test_a_request_to_an_unresponsive_vault_times_out(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "TIMEOUT_S", 0.2)

    with pytest.raises(SecretError, match=r"did not respond within 0\.2 s"):
        resolve("vault:slow/shop#url")


@pytest.mark.parametrize(
    ("address", "words"), [("http://127.0.0.1:9", "cannot be reached"), ("", "VAULT_ADDR is not set")]
)
def test_an_unreachable_or_unconfigured_vault_is_reported(
    server: str, monkeypatch: pytest.MonkeyPatch, address: str, words: str
) -> None:
    monkeypatch.setenv("VAULT_ADDR", address)

    with pytest.raises(SecretError, match=words):
        resolve("vault:kv1/shop#url")


def test_the_error_names_a_missing_token_or_package(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULT_TOKEN")
    with pytest.raises(SecretError, match="Neither VAULT_TOKEN nor VAULT_TOKEN_FILE"):
        resolve("vault:kv1/shop#url")
    monkeypatch.setitem(sys.modules, "hvac", None)
    with pytest.raises(SecretError, match="pip install hvac"):
        resolve("vault:kv1/shop#url")


@pytest.mark.parametrize("rest", ["", "shop#url", "secret/shop", "secret/../sys#x", "/secret/a#x", "s/a#x#y"])
def test_a_reference_requires_a_path_and_a_field(rest: str) -> None:
    with pytest.raises(SecretError):
        check_reference(f"vault:{rest}")
