"""How long a worker holds a run without renewing, and the tokens that fence its writes."""

from __future__ import annotations

import datetime as dt

from django.db import models

from deployctl.audit import Machine

# Three heartbeats may be missed (execution/heartbeat.py) before somebody else cleans up.
LEASE = dt.timedelta(seconds=45)
WORKER = Machine("worker")


class LeaseLost(Exception):
    """The run is no longer ours: it was taken from us, or ended. End the children, write nothing, leave."""


class NextToken(models.Func):
    """The next fencing token: greater than every token given before."""

    template = "nextval('runs_fencing_token')"
    output_field = models.BigIntegerField()
