"""The same evidence as for making it."""

from __future__ import annotations

from tests.signoff.conftest import deployment  # noqa: F401 (fixture)
from tests.signoff.evidence.conftest import pack, signed  # noqa: F401 (fixtures)
