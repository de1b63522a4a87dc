"""What tests of pages need here."""

from __future__ import annotations

import pytest
from django.core.cache import cache

from tests.accounts.provider import provider, running_provider  # noqa: F401 (fixtures)


@pytest.fixture(autouse=True)
def no_earlier_attempts() -> None:
    """Attempts of earlier tests must not slow these down."""
    cache.clear()
