"""The lease of a worker on its run, and the fencing tokens that protect its writes."""

from __future__ import annotations

import datetime as dt

from django.db import models

from deployctl.audit import Machine

# Three missed heartbeats (execution/heartbeat.py) let the lease expire; then the reaper cleans up.
LEASE = dt.timedelta(seconds=45)
WORKER = Machine("worker")


class LeaseLost(Exception):
    """The run was taken over or has ended. The worker must end its child processes and write nothing."""


class NextToken(models.Func):
    """The next fencing token, greater than all earlier ones."""

    template = "nextval('runs_fencing_token')"
    output_field = models.BigIntegerField()
