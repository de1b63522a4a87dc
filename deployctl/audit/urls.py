"""No addresses here: the page of the audit log carries a policy, and policies live one floor up, in `accounts`."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
