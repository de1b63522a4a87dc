"""Addresses of deployments, their items and their history."""

from __future__ import annotations

app_name = "checklists"
urlpatterns: list = []
