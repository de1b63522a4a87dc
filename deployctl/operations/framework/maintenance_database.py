"""A session on a maintenance database of the target's server, to create, rename and drop databases."""

from __future__ import annotations

import psycopg

from deployctl.operations.framework.base import Job, OperationFailed
from deployctl.postgres.connection import CannotConnect, Reason
from deployctl.postgres.privileges import quote_name

# template1 in case "postgres" was dropped or does not allow connections.
MAINTENANCE_DATABASES = ("postgres", "template1")
LOCK_TIMEOUT_S = 30


def connect(job: Job) -> psycopg.Connection:
    """Open a session on a maintenance database of the target's server.

    Raises:
        OperationFailed: the role can't connect to any of them; nothing was changed.
        CannotConnect: the server is not reachable.
    """
    for name in MAINTENANCE_DATABASES:
        try:
            connection = job.connect(dbname=name, lock_timeout_s=LOCK_TIMEOUT_S)
        except CannotConnect as error:
            if error.reason not in {Reason.NO_SUCH_DATABASE, Reason.NOT_ALLOWED}:
                raise
            job.log(str(error), level="warning")
        else:
            job.log(f"Connected to the maintenance database {name}.")
            return connection
    role = quote_name(job.target.connection.user)
    raise OperationFailed(
        f"Role {job.target.connection.user} can't connect to {' or '.join(MAINTENANCE_DATABASES)}, which is "
        "needed to create and rename databases. Nothing was changed. "
        f"Run GRANT CONNECT ON DATABASE postgres TO {role}; and allow the connection in pg_hba.conf."
    )
