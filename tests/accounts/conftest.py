"""What tests of pages need here."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import cache


@pytest.fixture(autouse=True)
def folder_for_static_files() -> None:
    """Whitenoise warns of a missing folder, and warnings are errors here."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True)
def no_earlier_attempts() -> None:
    """Attempts of earlier tests must not slow these down."""
    cache.clear()
