"""Test references to secrets and the `Secret` class."""

from __future__ import annotations

import json
import logging
import os
import pickle
from pathlib import Path

import pytest

from deployctl.secrets import Secret, SecretError, check_reference, known_sources, resolve

URL = "postgresql://app:hunter2@h/shop"


def test_a_secret_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", URL)

    assert resolve("env:SHOP_URL").reveal() == URL


def test_the_error_names_a_missing_or_empty_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", "")

    with pytest.raises(SecretError, match="SHOP_URL is not set or empty"):
        resolve("env:SHOP_URL")


def test_a_secret_is_read_from_a_file_without_the_final_line_break(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text(f" {URL} \r\n")

    assert resolve(f"file:{path}").reveal() == f" {URL} "


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"x" * 70_000, "64 KiB"), (b"\xff", "not UTF-8")],
)
def test_an_empty_large_or_binary_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "url"
    path.write_bytes(content)

    with pytest.raises(SecretError, match=words):
        resolve(f"file:{path}")


def test_a_missing_file_a_folder_and_a_pipe_are_refused_immediately(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe"):
        with pytest.raises(SecretError, match="does not exist or is not a file"):
            resolve(f"file:{path}")


@pytest.mark.parametrize(
    "reference",
    [URL, "", "env", "env:", "env:1X", f"env:{URL}", "file:relative", "vault:x", "ENV:X", "env:A\n"],
)
def test_an_invalid_reference_is_refused_without_repeating_it(reference: str) -> None:
    with pytest.raises(SecretError) as caught:
        check_reference(reference)

    assert "hunter2" not in str(caught.value)


def test_checking_a_reference_does_not_read_the_secret() -> None:
    check_reference("env:NOT_SET_ANYWHERE")
    check_reference("file:/no/such/file")


def test_the_help_of_every_source_begins_with_its_scheme() -> None:
    assert set(known_sources()) >= {"env", "file"}
    assert all(source.help.startswith(f"{scheme}:") for scheme, source in known_sources().items())


def test_a_secret_is_never_printed_or_serialized(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret("hunter2")

    logging.getLogger("test").warning("got %s and %r", secret, [secret])

    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>20}", caplog.text]
    assert not any("hunter2" in text for text in shown)
    assert not hasattr(secret, "__dict__")
    for leak in (lambda: pickle.dumps(secret), lambda: json.dumps(secret)):
        with pytest.raises(TypeError):
            leak()


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert not Secret("")
