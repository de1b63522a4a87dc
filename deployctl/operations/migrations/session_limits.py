"""The connection that a migration tool of the project is given."""

from __future__ import annotations

import dataclasses

from deployctl.operations.framework.base import Job
from deployctl.postgres.connection import ConnectionSpec
from deployctl.postgres.queries.session import CHECKS_CLIENT_FROM


def session_limits(job: Job, lock_timeout_s: float, *settings: str) -> ConnectionSpec:
    """The target's connection whose sessions carry the run's name and a lock timeout.

    They travel in the URL's parameters and in libpq's variables, which drivers pass on to the server.

    Args:
        lock_timeout_s: in seconds.
        settings: more of them, such as "search_path=clinic", spaces escaped by a backslash.
    """
    spec = job.target.connection
    with job.connect() as connection:
        version = connection.info.server_version
    every = [f"lock_timeout={int(lock_timeout_s * 1000)}ms", *settings]
    if version >= CHECKS_CLIENT_FROM:
        every.append("client_connection_check_interval=1s")
    words = [spec.options.get("options", ""), *(f"-c {setting}" for setting in every)]
    options = {"options": " ".join(words).strip(), "application_name": job.application_name}
    return dataclasses.replace(spec, options={**spec.options, **options})
