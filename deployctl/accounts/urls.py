"""Signing in, one's own account, people, the audit log."""

from __future__ import annotations

urlpatterns: list = []
