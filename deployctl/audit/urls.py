"""No addresses here: the audit log's page carries a policy, and policies live one floor up, in `accounts`."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
