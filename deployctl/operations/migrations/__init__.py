"""The tools that apply an application's migrations: one per file of `tools/`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from deployctl.plugins import Catalogue

if TYPE_CHECKING:
    from deployctl.operations.application.project import Project
    from deployctl.operations.migrations.base import Migrator


@cache
def catalogue() -> Catalogue[Migrator]:
    """Return the tools by the name that they have in `deployctl.toml`."""
    from deployctl.operations.migrations.base import Migrator

    return Catalogue("deployctl.operations.migrations.tools", Migrator, "tool")


def migrator_for(project: Project) -> Migrator:
    """Return the tool that a project's `deployctl.toml` names."""
    return catalogue()[project.migrations.tool](project)
