"""Read settings from the process environment, `*_FILE` secrets and the data folder's `environment` file."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deployctl.errors import InvalidInput

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}
LOCALHOST = "localhost"


def data_folder() -> Path:
    """Return the data folder: `DEPLOYCTL_DATA`, else `.deployctl` in the current folder."""
    return Path(os.environ.get("DEPLOYCTL_DATA", ".deployctl")).absolute()


def load_environment_file(path: Path) -> None:
    """Load the settings that `deployctl up` wrote, without overriding existing environment variables.

    Args:
        path: a file with `NAME=value` lines; it may be missing.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator and not name.startswith("#"):
            os.environ.setdefault(name.strip(), value)


def text(name: str, default: str = "") -> str:
    """Return a text setting."""
    return os.environ.get(name, default)


def flag(name: str, *, default: bool) -> bool:
    """Return a setting that is on or off.

    Raises:
        InvalidInput: the value is neither.
    """
    value = os.environ.get(name)
    if value is None:
        return default
    if value.strip().lower() in TRUE:
        return True
    if value.strip().lower() in FALSE:
        return False
    raise InvalidInput(f"{name} is {value!r}; it must be 1 or 0.")


def number(name: str, default: int) -> int:
    """Return a setting that is a whole number.

    Raises:
        InvalidInput: the value is not a whole number.
    """
    value = os.environ.get(name)
    if value is None:
        return default
    try:
        return int(value)
    except ValueError:
        raise InvalidInput(f"{name} is {value!r}; it must be a whole number.") from None


def words(name: str, default: str = "") -> list[str]:
    """Return a setting that is a list of words separated by commas."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def first_domain(hosts: list[str]) -> str:
    """Return the first allowed host that is a domain name and not an IP address, else `localhost`."""
    domains = (host.lstrip(".").lower() for host in hosts if host != "*" and "[" not in host)
    return next((domain for domain in domains if not domain.replace(".", "").isdigit()), LOCALHOST)


def origin(url: str) -> str:
    """Return the origin of a URL: scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def secret(name: str, default: str = "") -> str:
    """Return a secret setting: `NAME`, or the content of the file `NAME_FILE`.

    Raises:
        InvalidInput: the file can't be read.
    """
    path = os.environ.get(f"{name}_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise InvalidInput(f"{name}_FILE is {path}, which can't be read: {error.strerror}.") from None
    return os.environ.get(name, default)


def database(url: str) -> dict[str, str | int]:
    """Return Django's `DATABASES` entry for a `postgresql://` URL.

    Raises:
        InvalidInput: it isn't a PostgreSQL URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise InvalidInput("DATABASE_URL must be like postgresql://user:password@host:port/database.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": parts.port or "",
    }
