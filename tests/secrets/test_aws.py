"""Test secrets from AWS Secrets Manager with the real client against moto's server."""

from __future__ import annotations

import json
import sys
import uuid

import boto3
import pytest

from deployctl.secrets import SecretError, check_reference, resolve
from deployctl.secrets.sources import aws as source
from tests.moto_server import aws, moto_server  # noqa: F401 (fixtures)

FIELDS = {"url": "postgresql://app:pw@h/shop", "number": 7, "empty": ""}


@pytest.fixture
def name(aws: str) -> str:  # noqa: F811
    """Create a JSON secret and return its name."""
    name = f"shop/{uuid.uuid4().hex}"
    boto3.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(FIELDS))
    return name


def test_a_field_is_read(name: str) -> None:
    assert resolve(f"aws:{name}#url").reveal() == FIELDS["url"]


def test_the_whole_text_is_read_by_name_or_arn(name: str) -> None:
    arn = boto3.client("secretsmanager").describe_secret(SecretId=name)["ARN"]

    assert json.loads(resolve(f"aws:{name}").reveal()) == FIELDS
    assert resolve(f"aws:{arn}#url").reveal() == FIELDS["url"]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("nothing", "has no field nothing. It has: empty, number, url"),
        ("number", "not a string"),
        ("empty", "empty"),
    ],
)
def test_the_error_names_an_unusable_field(name: str, field: str, words: str) -> None:
    with pytest.raises(SecretError, match=words):
        resolve(f"aws:{name}#{field}")


def test_a_secret_without_json_has_no_fields_and_is_not_shown(aws: str) -> None:  # noqa: F811
    name = f"plain-{uuid.uuid4().hex}"
    boto3.client("secretsmanager").create_secret(Name=name, SecretString="hunter2")

    with pytest.raises(SecretError, match="not a JSON object") as caught:
        resolve(f"aws:{name}#url")
    assert "hunter2" not in str(caught.value)
    assert resolve(f"aws:{name}").reveal() == "hunter2"


def test_missing_deleted_and_binary_secrets_are_refused(name: str) -> None:
    client = boto3.client("secretsmanager")
    binary = f"binary-{uuid.uuid4().hex}"
    client.create_secret(Name=binary, SecretBinary=b"\0")
    client.delete_secret(SecretId=name)

    with pytest.raises(SecretError, match="has no secret nowhere in this region"):
        resolve("aws:nowhere")
    with pytest.raises(SecretError, match="marked for deletion"):
        resolve(f"aws:{name}")
    with pytest.raises(SecretError, match="empty or binary"):
        resolve(f"aws:{binary}")


@pytest.mark.parametrize("code", [*source.ERROR_MESSAGES, "Strange"])
def test_every_error_message_is_a_complete_sentence(code: str) -> None:
    message = source._error_message("shop", code)

    assert message.endswith(".")
    assert "{" not in message


def test_the_error_names_a_missing_region_credentials_network_or_package(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = f"aws:{name}"
    with monkeypatch.context() as patch:
        patch.delenv("AWS_DEFAULT_REGION")
        with pytest.raises(SecretError, match="AWS_REGION is not set"):
            resolve(reference)
        patch.setenv("AWS_REGION", "eu-central-1")
        assert resolve(reference)
    with monkeypatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(SecretError, match="No AWS credentials"):
            resolve(reference)
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(SecretError, match="cannot be reached"):
            resolve(reference)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SecretError, match="pip install boto3"):
        resolve(reference)


@pytest.mark.parametrize("rest", ["", "#url", "a b", "name#", "name#a#b", "name\n"])
def test_a_reference_requires_a_valid_name(rest: str) -> None:
    with pytest.raises(SecretError):
        check_reference(f"aws:{rest}")
