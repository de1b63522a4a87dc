"""Hints to workers that a run is queued. The row is the request; a hint may be lost or come twenty times."""

from __future__ import annotations

import logging

from kombu.exceptions import KombuError
from redis import RedisError

logger = logging.getLogger(__name__)


def hint(run_id: int) -> bool:
    """Tell the workers about a queued run. Never raises.

    Returns:
        Whether the broker took the message.
    """
    from deployctl.runs.tasks import execute

    try:
        execute.apply_async((run_id,), retry=False)
    except (KombuError, RedisError, OSError) as error:
        logger.warning("The broker did not take run %s, the dispatcher will try again: %s", run_id, error)
        return False
    return True
