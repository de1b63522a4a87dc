"""Which installation this is, where several share a server: Redis, a machine, or a target's PostgreSQL."""

from __future__ import annotations

import hashlib

from django.conf import settings


def installation_id() -> str:
    """Eight hexadecimal digits, the same in every process of an installation and in no other one.

    Made from what its processes share: the key and the name of the database. Numbers of runs start at 1
    everywhere, and Redis does not keep the messages of its databases apart.
    """
    shared = f"{settings.SECRET_KEY}\0{settings.DATABASES['default']['NAME']}"
    return hashlib.sha256(f"deployctl installation\0{shared}".encode()).hexdigest()[:8]
