"""The fixtures of the evidence tests, for the verifier."""

from __future__ import annotations

from tests.signoff.conftest import deployment  # noqa: F401 (fixture)
from tests.signoff.evidence.conftest import pack, signed  # noqa: F401 (fixtures)
