"""Addresses that are asked too often answer otherwise: nothing of other tests is counted here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def attempts_of_this_test_only() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()
