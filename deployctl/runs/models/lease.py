"""The lease of a worker on its run, and the fencing tokens that guard its writes."""

from __future__ import annotations

import datetime as dt

from django.db import models

from deployctl.audit import Machine

# The lease expires after three missed heartbeats (execution/heartbeat.py); then the reaper cleans up.
LEASE = dt.timedelta(seconds=45)
WORKER = Machine("worker")


class LeaseLost(Exception):
    """The run was taken over or has ended. The worker must end its child processes and write nothing more."""


class NextToken(models.Func):
    """The next fencing token, greater than all earlier ones."""

    template = "nextval('runs_fencing_token')"
    output_field = models.BigIntegerField()
