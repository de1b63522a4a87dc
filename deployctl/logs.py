"""What the programs write to their logs."""

from __future__ import annotations

from typing import Any


def configuration(level: str) -> dict[str, Any]:
    """Everything from a level on goes to the terminal, a line each; Django's `LOGGING`.

    Args:
        level: such as "INFO".
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": level},
        # They write the address of each request, with credentials and the digits of a new password's hash.
        "loggers": {name: {"level": "WARNING"} for name in ("httpx", "httpcore")},
    }
