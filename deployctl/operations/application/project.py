"""Read and validate the project of a target: the application's folder with its `deployctl.toml`."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, ValidationError
from pydantic_core import ErrorDetails

from deployctl.errors import DeployctlError
from deployctl.operations import migrations
from deployctl.operations.framework.base import OperationFailed

FILE_NAME = "deployctl.toml"
LARGEST_FILE_BYTES = 256 * 1024
PYTHON = "{python}"
METHODS = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class ProjectError(DeployctlError):
    """A project folder or `deployctl.toml` that cannot be used; the message names the file and the key."""


def _relative_path(path: str) -> str:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise ValueError("must be a path inside the project folder, such as prisma/migrations")
    return path


def _known_tool(tool: str) -> str:
    if tool not in migrations.catalogue():
        raise ValueError(f"must be one of {', '.join(migrations.catalogue())}")
    return tool


def _argv(argv: list[str]) -> list[str]:
    if not argv or not argv[0] or any("\0" in part for part in argv):
        raise ValueError(
            'must be a list of a program and its arguments, such as ["npm", "run", "db:generate"]'
        )
    return argv


RelativePath = Annotated[str, AfterValidator(_relative_path)]
Command = Annotated[list[str], AfterValidator(_argv)]
TableName = Annotated[
    str, Field(min_length=1, max_length=127)
]  # two names of 63 bytes (NAMEDATALEN) and a dot


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Migrations(_Section):
    """`[migrations]`: the migration tool, and the folder of the migrations if not the tool's default."""

    tool: Annotated[str, AfterValidator(_known_tool)]
    folder: RelativePath | None = None


class Commands(_Section):
    """`[commands]`: argument lists without a shell; `{python}` is the interpreter that runs deployctl."""

    generate: Command | None = None
    seed: Command | None = None
    python: Command = Field(default_factory=lambda: [PYTHON])


class AdminExpectation(_Section):
    """`expect.admin`: rows that must exist, such as an administrator."""

    table: TableName
    where: dict[str, str | int | bool] = Field(min_length=1)
    at_least: int = Field(default=1, ge=1)


class Expectations(_Section):
    """`[expect]`: the expected content of the database and the generated files."""

    counts: dict[TableName, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    admin: AdminExpectation | None = None
    generated: list[RelativePath] = Field(default_factory=list)


class Endpoint(_Section):
    """An entry of `application.endpoints`."""

    method: METHODS
    path: Annotated[str, Field(pattern=r"^/")]
    expect: list[Annotated[int, Field(ge=100, le=599)]] = Field(min_length=1)


class Application(_Section):
    """`[application]`: the URLs of the application."""

    # TOML has no URL type, so a string is accepted.
    health: Annotated[HttpUrl, Field(strict=False)] | None = None
    endpoints: list[Endpoint] = Field(default_factory=list)


class _File(_Section):
    migrations: Migrations
    commands: Commands = Field(default_factory=Commands)
    expect: Expectations = Field(default_factory=Expectations)
    application: Application = Field(default_factory=Application)


class Project(_File):
    """A validated project folder with the content of its `deployctl.toml`; created by `Project.load`."""

    folder: Path

    @classmethod
    def load(cls, folder: Path, allowed_roots: Iterable[Path]) -> Self:
        """Read a project.

        Args:
            folder: the application's folder; symbolic links are resolved before the check.
            allowed_roots: the folders below which projects are allowed, because their commands are run.

        Raises:
            ProjectError: names the file and the key.
        """
        real = _resolve(folder, allowed_roots)
        path = real / FILE_NAME
        try:
            return cls.model_validate({**_read_toml(path), "folder": real})
        except ValidationError as error:
            problems = "; ".join(_describe(detail) for detail in error.errors(include_url=False))
            raise ProjectError(f"{path} is invalid: {problems}.") from None

    def command(self, name: Literal["generate", "seed", "python"]) -> Sequence[str]:
        """Return the argument list of a command in `[commands]`.

        Raises:
            OperationFailed: the project doesn't define the command.
        """
        argv: list[str] | None = getattr(self.commands, name)
        if argv is None:
            raise OperationFailed(
                f"{self.folder / FILE_NAME} doesn't define the command {name}. Nothing was run. "
                f'Add it under [commands], such as {name} = ["npm", "run", "db:{name}"].'
            )
        return [part.replace(PYTHON, sys.executable) for part in argv]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ProjectError(
            f"{path} doesn't exist. Create it (docs/projects.md), or change the target's project folder."
        ) from None
    except OSError as error:
        raise ProjectError(f"{path} can't be read: {error.strerror}.") from None
    if len(content) > LARGEST_FILE_BYTES:
        raise ProjectError(f"{path} is larger than {LARGEST_FILE_BYTES // 1024} KiB.")
    try:
        values = tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise ProjectError(f"{path} isn't UTF-8 text.") from None
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(f"{path} isn't valid TOML: {error}.") from None
    if "folder" in values:  # would set the field of that name
        raise ProjectError(f"{path} is invalid: folder is an unknown key.")
    return values


def _resolve(folder: Path, allowed_roots: Iterable[Path]) -> Path:
    roots = [root.resolve() for root in allowed_roots]
    real = folder.resolve()
    # Checked first, so that the message doesn't reveal if a folder outside of the roots exists.
    if not any(real.is_relative_to(root) for root in roots):
        known = ", ".join(map(str, roots)) or "none"
        raise ProjectError(f"The project folder {folder} isn't in an allowed root. Allowed roots: {known}.")
    if not real.is_dir():
        raise ProjectError(f"The project folder {folder} doesn't exist or isn't a folder.")
    return real


def _describe(detail: ErrorDetails) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{key} is an unknown key" + _known_keys(detail["loc"])
    if detail["type"] == "missing":
        return f"{key} is missing"
    if detail["type"] == "list_type":
        return f"{key} must be a list, not {detail['input']!r}"
    return f"{key}: {detail['msg'].removeprefix('Value error, ')}"


def _known_keys(location: tuple[int | str, ...]) -> str:
    """Return the known keys of the section of an unknown key."""
    sections: Mapping[tuple[str, ...], type[BaseModel]] = {
        (): _File,
        ("migrations",): Migrations,
        ("commands",): Commands,
        ("expect",): Expectations,
        ("expect", "admin"): AdminExpectation,
        ("application",): Application,
        ("application", "endpoints"): Endpoint,
    }
    parent = tuple(part for part in location[:-1] if isinstance(part, str))
    section = sections.get(parent)
    return f" (known: {', '.join(section.model_fields)})" if section else ""
