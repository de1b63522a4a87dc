"""Running programs for operations."""

from __future__ import annotations

import sys

from deployctl.operations.framework import subprocess_runner
from deployctl.postgres.connection import ConnectionSpec


def test_the_url_for_a_program_has_the_runs_application_name() -> None:
    # Sessions are found by this name, also if the driver does not read PGAPPNAME.
    output = bytearray()
    subprocess_runner.execute(
        [sys.executable, "-c", "import os; print(os.environ['DATABASE_URL'])"],
        application_name="deployctl:1f6e02ab:7:1",
        timeout_s=20,
        should_stop=lambda: None,
        on_output=[lambda _stream, chunk: output.extend(chunk)],
        connection=ConnectionSpec("db.example", 5432, "app", "s3cret", "shop", {"schema": "public"}),
        pass_url=True,
    )
    url = "postgresql://app:s3cret@db.example:5432/shop"
    assert output.decode().strip() == f"{url}?schema=public&application_name=deployctl%3A1f6e02ab%3A7%3A1"
