"""What tests of pages need here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache

from tests.accounts.provider import provider, running_provider  # noqa: F401 (fixtures)
from tests.clock import clock  # noqa: F401 (fixture)


@pytest.fixture(autouse=True)
def attempts_of_this_test_only() -> Iterator[None]:
    """Attempts of earlier tests must not slow these down, nor these others."""
    cache.clear()
    yield
    cache.clear()
