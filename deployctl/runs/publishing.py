"""Hints to workers that a run is queued. The row is the request; a hint may be lost or come twenty times."""

from __future__ import annotations

import logging

from celery import current_app
from kombu.exceptions import KombuError
from redis import RedisError

logger = logging.getLogger(__name__)

# kombu would otherwise try for many seconds while somebody waits for the page.
ONCE = {"max_retries": 0, "socket_connect_timeout": 1.0, "socket_timeout": 2.0}


def hint(run_id: int) -> bool:
    """Tell the workers about a queued run. Never raises.

    Returns:
        Whether the broker took the message.
    """
    from deployctl.runs.tasks import execute

    options = {**current_app.conf.broker_transport_options, **ONCE}
    try:
        with current_app.connection_for_write(transport_options=options) as connection:
            execute.apply_async((run_id,), connection=connection, retry=False)  # type: ignore[call-arg]
    except (KombuError, RedisError, OSError) as error:
        logger.warning("The broker did not take run %s, the dispatcher will try again: %s", run_id, error)
        return False
    return True
