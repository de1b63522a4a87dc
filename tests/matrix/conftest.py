"""Fixtures for the matrix."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def reset_rate_limits() -> Iterator[None]:
    """Clear the counters of rate limits before and after each test."""
    cache.clear()
    yield
    cache.clear()
