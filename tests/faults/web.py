"""The web application with the operations of the tests: `tests.faults.web:application`."""

from __future__ import annotations

from deployctl.asgi import application
from tests.runs import operations

operations.install()

__all__ = ["application"]
