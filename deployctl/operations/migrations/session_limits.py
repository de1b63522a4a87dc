"""Add the run's name and limits to the connection of a migration tool."""

from __future__ import annotations

import dataclasses

from deployctl.operations.framework.base import Job
from deployctl.postgres.connection import ConnectionSpec
from deployctl.postgres.queries.session import CHECKS_CLIENT_FROM


def session_limits(job: Job, lock_timeout_s: float, *settings: str) -> ConnectionSpec:
    """Return the target's connection with the run's application name and a lock timeout.

    They are parameters of the URL and of libpq, which drivers pass to the server.

    Args:
        lock_timeout_s: in seconds.
        settings: further settings, such as "search_path=clinic", with spaces escaped by a backslash.
    """
    spec = job.target.connection
    with job.connect() as connection:
        version = connection.info.server_version
    all_settings = [f"lock_timeout={int(lock_timeout_s * 1000)}ms", *settings]
    if version >= CHECKS_CLIENT_FROM:
        all_settings.append("client_connection_check_interval=1s")
    arguments = [spec.options.get("options", ""), *(f"-c {setting}" for setting in all_settings)]
    options = {"options": " ".join(arguments).strip(), "application_name": job.application_name}
    return dataclasses.replace(spec, options={**spec.options, **options})
