"""The web application for tests, which also knows the tests' operations: `tests.faults.web:application`."""

from __future__ import annotations

from deployctl.asgi import application
from tests.runs import operations

operations.install()

__all__ = ["application"]
