"""Find the migration tool of a project; each file of `tools/` contains one."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from deployctl.plugins import Catalogue

if TYPE_CHECKING:
    from deployctl.operations.application.project import Project
    from deployctl.operations.migrations.base import Migrator


@cache
def catalogue() -> Catalogue[Migrator]:
    """Return the migration tools by their name in `deployctl.toml`."""
    from deployctl.operations.migrations.base import Migrator

    return Catalogue("deployctl.operations.migrations.tools", Migrator, "tool")


def migrator_for(project: Project) -> Migrator:
    """Return the migration tool set in a project's `deployctl.toml`."""
    return catalogue()[project.migrations.tool](project)
