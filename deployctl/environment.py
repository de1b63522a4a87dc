"""Reading the process environment: names, defaults, `*_FILE` for secrets, and the data folder's own file."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deployctl.errors import InvalidInput

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}
LOCALHOST = "localhost"


def data_folder() -> Path:
    """The folder that holds everything `deployctl up` keeps: `DEPLOYCTL_DATA`, else `.deployctl` here."""
    return Path(os.environ.get("DEPLOYCTL_DATA", ".deployctl")).absolute()


def load_environment_file(path: Path) -> None:
    """Take settings that `deployctl up` wrote, without overriding what the environment already says.

    Args:
        path: a file of `NAME=value` lines; a missing file is an empty one.
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
    """A setting as text."""
    return os.environ.get(name, default)


def flag(name: str, *, default: bool) -> bool:
    """A setting that is on or off.

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
    raise InvalidInput(f"{name} is {value!r}; use 1 or 0.")


def number(name: str, default: int) -> int:
    """A setting that is a whole number.

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
    """A setting that is a list of words separated by commas."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def first_domain(hosts: list[str]) -> str:
    """The first of the allowed hosts that is a domain, which an address in numbers is not."""
    domains = (host.lstrip(".").lower() for host in hosts if host != "*" and "[" not in host)
    return next((domain for domain in domains if not domain.replace(".", "").isdigit()), LOCALHOST)


def origin(url: str) -> str:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def secret(name: str, default: str = "") -> str:
    """A secret setting: `NAME`, or the content of the file that `NAME_FILE` names.

    Raises:
        InvalidInput: the named file cannot be read.
    """
    path = os.environ.get(f"{name}_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise InvalidInput(f"{name}_FILE names {path}, which cannot be read: {error.strerror}.") from None
    return os.environ.get(name, default)


def database(url: str) -> dict[str, str | int]:
    """Django's description of the database that a `postgresql://` URL names.

    Raises:
        InvalidInput: the URL is not one of PostgreSQL.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise InvalidInput("DATABASE_URL must read postgresql://user:password@host:port/database.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": parts.port or "",
    }
