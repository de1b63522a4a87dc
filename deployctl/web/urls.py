"""Addresses of this package: none. `live` needs the policy of a higher floor and is mounted by `runs`."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
