"""The application's side of a target: its folder, and what its `deployctl.toml` says."""

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
    """The project folder or its `deployctl.toml` cannot be used; the message names file and key."""


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise ValueError("must be a path inside the project folder, such as prisma/migrations")
    return path


def _known_tool(tool: str) -> str:
    if tool not in migrations.catalogue():
        raise ValueError(f"must be one of {', '.join(migrations.catalogue())}")
    return tool


def _program(argv: list[str]) -> list[str]:
    if not argv or not argv[0] or any("\0" in part for part in argv):
        raise ValueError('must name a program and its arguments, such as ["npm", "run", "db:generate"]')
    return argv


InnerPath = Annotated[str, AfterValidator(_inside)]
Command = Annotated[list[str], AfterValidator(_program)]
TableName = Annotated[str, Field(min_length=1, max_length=127)]  # two names of 63 bytes and a dot


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Migrations(_Section):
    """`[migrations]`: which tool keeps them, and where they are if not in its usual folder."""

    tool: Annotated[str, AfterValidator(_known_tool)]
    folder: InnerPath | None = None


class Commands(_Section):
    """`[commands]`: argv lists, never shell strings; `{python}` stands for the Python that runs deployctl."""

    generate: Command | None = None
    seed: Command | None = None
    python: Command = Field(default_factory=lambda: [PYTHON])


class AdminExpectation(_Section):
    """`expect.admin`: rows that must be there, such as an administrator."""

    table: TableName
    where: dict[str, str | int | bool] = Field(min_length=1)
    at_least: int = Field(default=1, ge=1)


class Expectations(_Section):
    """`[expect]`: what must hold after the operations."""

    counts: dict[TableName, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    admin: AdminExpectation | None = None
    generated: list[InnerPath] = Field(default_factory=list)


class Endpoint(_Section):
    """One entry of `application.endpoints`."""

    method: METHODS
    path: Annotated[str, Field(pattern=r"^/")]
    expect: list[Annotated[int, Field(ge=100, le=599)]] = Field(min_length=1)


class Application(_Section):
    """`[application]`: where the application answers."""

    # TOML has no type for a URL, so this one field takes a text.
    health: Annotated[HttpUrl, Field(strict=False)] | None = None
    endpoints: list[Endpoint] = Field(default_factory=list)


class _File(_Section):
    migrations: Migrations
    commands: Commands = Field(default_factory=Commands)
    expect: Expectations = Field(default_factory=Expectations)
    application: Application = Field(default_factory=Application)


class Project(_File):
    """A project folder that was checked, with what its `deployctl.toml` says.

    Made by `Project.load` only.
    """

    folder: Path

    @classmethod
    def load(cls, folder: Path, allowed_roots: Iterable[Path]) -> Self:
        """Read a project.

        Args:
            folder: where the application lies; symbolic links are followed before it is judged.
            allowed_roots: only folders below one of these may be projects, for their commands are run.

        Raises:
            ProjectError: naming file and key.
        """
        real = _allowed(folder, allowed_roots)
        path = real / FILE_NAME
        try:
            return cls.model_validate({**_Toml(path).read(), "folder": real})
        except ValidationError as error:
            wrong = "; ".join(_sentence(detail) for detail in error.errors(include_url=False))
            raise ProjectError(f"{path} cannot be used: {wrong}.") from None

    def command(self, name: Literal["generate", "seed", "python"]) -> Sequence[str]:
        """The argv of a command of `[commands]`.

        Raises:
            OperationFailed: the project names none.
        """
        argv: list[str] | None = getattr(self.commands, name)
        if argv is None:
            raise OperationFailed(
                f"{self.folder / FILE_NAME} names no command for {name}. Nothing was run. "
                f'Add it under [commands], such as {name} = ["npm", "run", "db:{name}"].'
            )
        return [part.replace(PYTHON, sys.executable) for part in argv]


class _Toml:
    """A file of limited size, read as TOML."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any]:
        try:
            with self.path.open("rb") as file:
                content = file.read(LARGEST_FILE_BYTES + 1)
        except FileNotFoundError:
            raise ProjectError(
                f"{self.path} does not exist. Write it (docs/projects.md), or point the target elsewhere."
            ) from None
        except OSError as error:
            raise ProjectError(f"{self.path} cannot be read: {error.strerror}.") from None
        if len(content) > LARGEST_FILE_BYTES:
            raise ProjectError(f"{self.path} is larger than {LARGEST_FILE_BYTES // 1024} KiB.")
        try:
            values = tomllib.loads(content.decode("utf-8"))
        except UnicodeDecodeError:
            raise ProjectError(f"{self.path} is not UTF-8 text.") from None
        except tomllib.TOMLDecodeError as error:
            raise ProjectError(f"{self.path} is not valid TOML: {error}.") from None
        if "folder" in values:  # would otherwise meet the field of that name
            raise ProjectError(f"{self.path} cannot be used: folder is not a key it may have here.")
        return values


def _allowed(folder: Path, allowed_roots: Iterable[Path]) -> Path:
    roots = [root.resolve() for root in allowed_roots]
    real = folder.resolve()
    # Judged before anything tells whether it exists: other folders are nobody's business.
    if not any(real.is_relative_to(root) for root in roots):
        known = ", ".join(map(str, roots)) or "none"
        raise ProjectError(f"The project folder {folder} lies under no allowed root. Allowed roots: {known}.")
    if not real.is_dir():
        raise ProjectError(f"The project folder {folder} does not exist or is not a folder.")
    return real


def _sentence(detail: ErrorDetails) -> str:
    """One finding of pydantic in the words of the file."""
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{key} is not a key it may have there" + _known_keys(detail["loc"])
    if detail["type"] == "missing":
        return f"{key} is missing"
    if detail["type"] == "list_type":
        return f"{key} must be a list, not {detail['input']!r}"
    return f"{key}: {detail['msg'].removeprefix('Value error, ')}"


def _known_keys(location: tuple[int | str, ...]) -> str:
    """The keys there are beside an unknown one, for the reader who mistyped."""
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
