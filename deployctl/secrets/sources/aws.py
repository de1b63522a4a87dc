"""Read secrets from AWS Secrets Manager.

boto3 finds the region and the credentials: in environment variables, a profile, or the machine's role.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

from deployctl.secrets.base import SecretError, SecretSource

CONNECT_TIMEOUT_S, READ_TIMEOUT_S, ATTEMPTS = 3, 5, 2
# AWS, CreateSecret: names contain letters, digits and /_+=.@-; an ARN also contains colons.
REFERENCE = re.compile(r"[A-Za-z0-9/_+=.@:\-]{1,2048}(#[^#\s]+)?")

# Each completes a sentence that begins with "AWS Secrets Manager".
ERROR_MESSAGES = {
    "ResourceNotFoundException": "has no secret {name} in this region and account. "
    "Check the name and the region",
    "AccessDeniedException": "does not let this identity read {name}. Allow secretsmanager:GetSecretValue "
    "on the secret and kms:Decrypt on its key",
    "InvalidRequestException": "cannot return {name}: it is marked for deletion or has no value. Restore it",
    "DecryptionFailure": "could not decrypt {name}. Allow this identity kms:Decrypt on its key",
    "UnrecognizedClientException": "does not recognize these credentials. Renew them",
    "InvalidClientTokenId": "does not recognize these credentials. Renew them",
    "InvalidSignatureException": "does not accept these credentials. Check the secret key and the clock",
    "ExpiredTokenException": "rejected these credentials because they have expired. Renew them",
    "ThrottlingException": "is throttling requests. Try again later",
}


class Aws(SecretSource):
    """AWS Secrets Manager: `aws:NAME` or `aws:NAME#FIELD`."""

    scheme = "aws"
    help = (
        "aws:NAME#FIELD reads a field of a JSON secret from AWS Secrets Manager; aws:NAME reads the whole "
        "text. NAME may be an ARN."
    )

    def check(self, rest: str) -> None:
        if not REFERENCE.fullmatch(rest):
            raise SecretError(
                "aws: must be followed by the name or ARN of a secret, and by # and a field if the secret is "
                "JSON, such as aws:shop/database#url."
            )

    def read(self, rest: str) -> str:
        name, _, field = rest.partition("#")
        text = _secret_string(name)
        return _field(name, text, field) if field else text


def _secret_string(name: str) -> str:
    """Return the current value of a secret."""
    try:
        import boto3  # slow to import, and not needed by installations without it
        from botocore import exceptions
        from botocore.config import Config
    except ImportError:
        raise SecretError(
            "Secrets in AWS need the Python package boto3, which is not installed. Install it for the "
            "worker and the web server: pip install boto3."
        ) from None
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
    )
    try:
        # Not boto3's default session: it isn't thread-safe, and it reads AWS_DEFAULT_REGION but not
        # AWS_REGION, which other AWS tools read.
        client = boto3.session.Session(region_name=os.environ.get("AWS_REGION")).client(
            "secretsmanager", config=config
        )
        response: dict[str, Any] = client.get_secret_value(SecretId=name)
    except exceptions.NoRegionError:
        raise SecretError(
            "AWS_REGION is not set, so the region of Secrets Manager is unknown. Set it for the worker "
            "and the web server, and restart them."
        ) from None
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError):
        raise SecretError(
            "No AWS credentials were found. Give the machine a role, or set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY for the worker and the web server."
        ) from None
    except exceptions.ClientError as error:
        raise SecretError(_error_message(name, error.response["Error"].get("Code", ""))) from None
    except (exceptions.ConnectionError, exceptions.HTTPClientError):
        raise SecretError(
            "AWS Secrets Manager cannot be reached or did not respond in time. Check the network and "
            "AWS_REGION, then try again."
        ) from None
    except exceptions.BotoCoreError as error:
        raise SecretError(f"The request to AWS Secrets Manager failed: {type(error).__name__}.") from None
    text = response.get("SecretString")
    if not isinstance(text, str) or not text:
        raise SecretError(f"The secret {name} in AWS Secrets Manager is empty or binary. Store it as text.")
    return text


def _error_message(name: str, code: str) -> str:
    message = ERROR_MESSAGES.get(code, f"refused to return {{name}} ({code or 'no reason given'})")
    return f"AWS Secrets Manager {message.format(name=name)}."


def _field(name: str, text: str, field: str) -> str:
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        # `from None`: the original error contains the secret.
        raise SecretError(
            f"The secret {name} in AWS Secrets Manager is not a JSON object. Refer to it without #{field}."
        ) from None
    value = fields.get(field)
    if field not in fields:
        raise SecretError(
            f"The secret {name} in AWS Secrets Manager has no field {field}. "
            f"It has: {', '.join(sorted(fields))}."
        )
    if not isinstance(value, str) or not value:
        raise SecretError(f"The field {field} of {name} in AWS Secrets Manager is empty or not a string.")
    return value
