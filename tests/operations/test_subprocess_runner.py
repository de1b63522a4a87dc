"""Programs that operations run."""

from __future__ import annotations

import sys

from deployctl.operations.framework import subprocess_runner
from deployctl.postgres.connection import ConnectionSpec


def test_a_program_that_is_given_the_url_carries_the_runs_name() -> None:
    """Its sessions are found and ended by that name, also those of drivers that do not read PGAPPNAME."""
    said = bytearray()
    subprocess_runner.execute(
        [sys.executable, "-c", "import os; print(os.environ['DATABASE_URL'])"],
        application_name="deployctl:1f6e02ab:7:1",
        timeout_s=20,
        should_stop=lambda: None,
        on_output=[lambda _stream, chunk: said.extend(chunk)],
        connection=ConnectionSpec("db.example", 5432, "app", "s3cret", "shop", {"schema": "public"}),
        pass_url=True,
    )
    url = "postgresql://app:s3cret@db.example:5432/shop"
    assert said.decode().strip() == f"{url}?schema=public&application_name=deployctl%3A1f6e02ab%3A7%3A1"
