"""Secrets in AWS Secrets Manager.

Region and credentials come from where boto3 finds them: variables, profile, or the role of the machine.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

from deployctl.secrets.base import SecretError, SecretSource

CONNECT_TIMEOUT_S, READ_TIMEOUT_S, ATTEMPTS = 3, 5, 2
# AWS, CreateSecret: letters, digits and /_+=.@- in names; an ARN has colons besides.
REFERENCE = re.compile(r"[A-Za-z0-9/_+=.@:\-]{1,2048}(#[^#\s]+)?")

SENTENCES = {
    "ResourceNotFoundException": "has no secret {name} in this region and account. Check name and region",
    "AccessDeniedException": "does not let this identity read {name}. Allow it secretsmanager:GetSecretValue "
    "on that secret, and kms:Decrypt on its key",
    "InvalidRequestException": "cannot give {name}: it is marked for deletion, or has no value. Restore it",
    "DecryptionFailure": "could not decrypt {name}. Allow this identity kms:Decrypt on its key",
    "UnrecognizedClientException": "does not know these credentials. Renew them",
    "InvalidClientTokenId": "does not know these credentials. Renew them",
    "InvalidSignatureException": "does not accept these credentials. Check the secret key and the clock",
    "ExpiredTokenException": "says that these credentials have expired. Renew them",
    "ThrottlingException": "answers too many requests now. Try again",
}


class Aws(SecretSource):
    """`aws:NAME` or `aws:NAME#FIELD`."""

    scheme = "aws"
    help = (
        "aws:NAME#FIELD reads a field of a JSON secret from AWS Secrets Manager, aws:NAME the whole text; "
        "NAME may be an ARN."
    )

    def check(self, rest: str) -> None:
        if not REFERENCE.fullmatch(rest):
            raise SecretError(
                "After aws: come the name or ARN of a secret, and # with a field where the secret is JSON, "
                "such as aws:shop/database#url."
            )

    def read(self, rest: str) -> str:
        name, _, field = rest.partition("#")
        text = _text(name)
        return _field(name, text, field) if field else text


def _text(name: str) -> str:
    """The secret's current value."""
    try:
        import boto3  # slow to import, and not needed by installations without it
        from botocore import exceptions
        from botocore.config import Config
    except ImportError:
        raise SecretError(
            "Secrets in AWS need the Python package boto3, which is not installed here. Install it for the "
            "worker and the web server: pip install boto3."
        ) from None
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
    )
    try:
        # A session of its own: boto3's default one is not safe between threads, and knows AWS_DEFAULT_REGION
        # but not AWS_REGION, which AWS's other tools read.
        client = boto3.session.Session(region_name=os.environ.get("AWS_REGION")).client(
            "secretsmanager", config=config
        )
        answer: dict[str, Any] = client.get_secret_value(SecretId=name)
    except exceptions.NoRegionError:
        raise SecretError(
            "AWS_REGION is not set, so it is not known which Secrets Manager to ask. Set it for the worker "
            "and the web server, and restart them."
        ) from None
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError):
        raise SecretError(
            "There are no AWS credentials here. Give the machine a role, or set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY for the worker and the web server."
        ) from None
    except exceptions.ClientError as error:
        raise SecretError(_sentence(name, error.response["Error"].get("Code", ""))) from None
    except (exceptions.ConnectionError, exceptions.HTTPClientError):
        raise SecretError(
            "AWS Secrets Manager cannot be reached, or does not answer in time. Check the network and "
            "AWS_REGION, then try again."
        ) from None
    except exceptions.BotoCoreError as error:
        raise SecretError(f"AWS Secrets Manager could not be asked: {type(error).__name__}.") from None
    text = answer.get("SecretString")
    if not isinstance(text, str) or not text:
        raise SecretError(f"The secret {name} in AWS Secrets Manager is empty or binary. Store a text.")
    return text


def _sentence(name: str, code: str) -> str:
    said = SENTENCES.get(code, f"refused to give {{name}} ({code or 'no reason given'})")
    return f"AWS Secrets Manager {said.format(name=name)}."


def _field(name: str, text: str, field: str) -> str:
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        # Without `from`: the error would carry the content.
        raise SecretError(
            f"The secret {name} in AWS Secrets Manager is not JSON with fields. Refer to it without #{field}."
        ) from None
    value = fields.get(field)
    if field not in fields:
        raise SecretError(
            f"The secret {name} in AWS Secrets Manager has no field {field}. "
            f"It has: {', '.join(sorted(fields))}."
        )
    if not isinstance(value, str) or not value:
        raise SecretError(f"The field {field} of {name} in AWS Secrets Manager is empty or not a text.")
    return value
