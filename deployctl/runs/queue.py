"""Send the tasks that execute runs. Messages may be lost or repeated; the row is the request."""

from __future__ import annotations

import logging

from celery import current_app
from kombu.exceptions import KombuError
from redis import RedisError

logger = logging.getLogger(__name__)

EXECUTE = "deployctl.runs.tasks.execute"
# By default kombu retries for many seconds, and the requester would wait for the page.
ONCE = {"max_retries": 0, "socket_connect_timeout": 1.0, "socket_timeout": 2.0}


def enqueue(run_id: int) -> bool:
    """Send the task that executes a queued run. Never raises.

    Returns:
        True if the broker accepted the message.
    """
    options = {**current_app.conf.broker_transport_options, **ONCE}
    try:
        with current_app.connection_for_write(transport_options=options) as connection:
            current_app.send_task(EXECUTE, (run_id,), connection=connection, retry=False)
    except (KombuError, RedisError, OSError) as error:
        logger.warning("The broker did not accept run %s; the dispatcher will retry: %s", run_id, error)
        return False
    return True
