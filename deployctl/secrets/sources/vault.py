"""Read secrets from a key-value engine (version 1 or 2) of HashiCorp Vault or OpenBao.

The address and the token come from the variables that Vault's own command line reads: `VAULT_ADDR`,
`VAULT_TOKEN` (or `VAULT_TOKEN_FILE`, a file that an agent renews), `VAULT_NAMESPACE`, `VAULT_CACERT`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from deployctl.secrets.base import SecretError, SecretSource

TIMEOUT_S = 5
REFERENCE = re.compile(r"(?P<path>[A-Za-z0-9_.\-]+(/[A-Za-z0-9_.\- ]+)+)#(?P<field>[^#\s]+)")


class Vault(SecretSource):
    """HashiCorp Vault: `vault:PATH#FIELD`."""

    scheme = "vault"
    help = (
        "vault:PATH#FIELD reads a field of a secret from Vault, such as vault:secret/shop#url. The path is "
        "that of `vault kv get`."
    )

    def check(self, rest: str) -> None:
        if not REFERENCE.fullmatch(rest) or ".." in rest:
            raise SecretError(
                "vault: must be followed by a path, # and a field, such as vault:secret/shop#url. The path "
                "is that of `vault kv get` and begins with the engine's mount."
            )

    def read(self, rest: str) -> str:
        path, _, field = rest.partition("#")
        fields = _fields(path)
        if field not in fields:
            known = ", ".join(sorted(fields)) or "none"
            raise SecretError(f"The secret {path} in Vault has no field {field}. It has: {known}.")
        value = fields[field]
        if not isinstance(value, str) or not value:
            raise SecretError(f"The field {field} of {path} in Vault is empty or not a string. Set it again.")
        return value


def _fields(path: str) -> dict[str, Any]:
    """Return all fields of a secret."""
    try:
        import hvac  # slow to import, and not needed by installations without Vault
        import requests
    except ImportError:
        raise SecretError(
            "Secrets in Vault need the Python package hvac, which is not installed. Install it for the "
            "worker and the web server: pip install hvac."
        ) from None
    address = os.environ.get("VAULT_ADDR", "")
    if not address:
        raise SecretError(
            "VAULT_ADDR is not set, so the address of Vault is unknown. Set it for the worker and the web "
            "server, such as https://vault.example.org:8200, and restart them."
        )
    token, namespace = _token(), os.environ.get("VAULT_NAMESPACE") or None
    try:
        client = hvac.Client(url=address, token=token, namespace=namespace, timeout=TIMEOUT_S)
        return _read(client, path)
    except hvac.exceptions.Forbidden:
        raise SecretError(
            f"Vault does not let this token read {path}, or the token has expired. Renew VAULT_TOKEN, or "
            "attach a policy with the `read` capability on that path."
        ) from None
    except hvac.exceptions.InvalidPath:
        raise SecretError(f"Vault has no secret at {path}, or its newest version was deleted.") from None
    except hvac.exceptions.VaultDown:
        raise SecretError(f"Vault at {address} is sealed or in standby. Unseal it, then try again.") from None
    except requests.exceptions.SSLError:
        raise SecretError(
            f"The certificate of Vault at {address} is not trusted. Set VAULT_CACERT to the certificate file "
            "of its authority."
        ) from None
    except requests.exceptions.Timeout:
        raise SecretError(
            f"Vault at {address} did not respond within {TIMEOUT_S} s. Check that it is running."
        ) from None
    except (requests.exceptions.RequestException, OSError):
        raise SecretError(
            f"Vault at {address} cannot be reached. Check VAULT_ADDR and the network."
        ) from None
    except (hvac.exceptions.VaultError, KeyError, TypeError, ValueError) as error:
        # The error's own message is left out: it may contain the token or the secret.
        raise SecretError(
            f"Vault at {address} sent an unexpected response ({type(error).__name__}). Try "
            f"`vault kv get {path}`."
        ) from None


def _read(client: Any, path: str) -> dict[str, Any]:
    """Find the engine that is mounted at the path, as Vault's command line does, and read the secret."""
    mount = client.adapter.get(f"/v1/sys/internal/ui/mounts/{path}")["data"]
    mount_point = str(mount["path"]).strip("/")
    secret_path = path.removeprefix(f"{mount_point}/")
    if (mount.get("options") or {}).get("version") == "2":
        response = client.secrets.kv.v2.read_secret_version(
            secret_path, mount_point=mount_point, raise_on_deleted_version=True
        )
        return dict(response["data"]["data"])
    return dict(client.secrets.kv.v1.read_secret(secret_path, mount_point=mount_point)["data"])


def _token() -> str:
    if token := os.environ.get("VAULT_TOKEN", "").strip():
        return token
    path = os.environ.get("VAULT_TOKEN_FILE", "")
    if not path:
        raise SecretError(
            "Neither VAULT_TOKEN nor VAULT_TOKEN_FILE is set, so there is no token for Vault. Set one of "
            "them for the worker and the web server, and restart them."
        )
    try:
        token = Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        raise SecretError(
            f"The file {path} in VAULT_TOKEN_FILE cannot be read. Check that it exists and its permissions."
        ) from None
    if not token:
        raise SecretError(f"The file {path} in VAULT_TOKEN_FILE is empty. Write a token into it.")

    return token
