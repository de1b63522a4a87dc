"""Fixtures for tests of accounts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache

from tests.accounts.provider import provider, running_provider  # noqa: F401 (fixtures)
from tests.clock import clock  # noqa: F401 (fixture)


@pytest.fixture(autouse=True)
def reset_rate_limits() -> Iterator[None]:
    """Clear the cache before and after each test, because it holds the rate limits."""
    cache.clear()
    yield
    cache.clear()
