"""Generate the application's database client with the project's own command."""

from __future__ import annotations

import time
from typing import ClassVar

from deployctl.operations.application.project_helpers import command_text, require_project
from deployctl.operations.framework.base import Job, Operation, OperationFailed, Outcome


class Generate(Operation):
    """Run the project's generate command; no database is involved."""

    kind: ClassVar[str] = "generate"
    title: ClassVar[str] = "Generate client"
    help: ClassVar[str] = (
        "Runs the project's command that generates the database client, and checks that it wrote the "
        "files listed in deployctl.toml."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 900

    def perform(self, job: Job) -> Outcome:
        project = require_project(job)
        argv = project.command("generate")
        # File systems round modification times, FAT to 2 s.
        started = time.time() - 2
        with job.step(f"Run {command_text(argv)}"):
            completed = job.execute(argv, cwd=project.folder)
        written = list(project.expect.generated)
        if written:
            with job.step("Check the generated files"):
                for name in written:
                    path = project.folder / name
                    if not path.exists():
                        raise OperationFailed(
                            f"The command succeeded, but {name} doesn't exist in {project.folder}. "
                            "Check expect.generated in deployctl.toml."
                        )
                    if path.stat().st_mtime < started:
                        raise OperationFailed(
                            f"The command succeeded, but it didn't write {name}. "
                            "Check commands.generate in deployctl.toml."
                        )
        return Outcome(
            summary=f"Generated in {completed.duration_s:.1f} s"
            + (f": {', '.join(written)}." if written else "."),
            facts={"command": list(argv), "duration_s": round(completed.duration_s, 3), "generated": written},
        )
