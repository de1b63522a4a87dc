"""Identify this installation on servers that several installations share."""

from __future__ import annotations

import hashlib

from django.conf import settings


def installation_id() -> str:
    """Return eight hexadecimal digits that are the same in all processes of this installation only.

    They are derived from the secret key and the name of the database. Without them, the names of sessions
    and channels would clash on a shared PostgreSQL or Redis server: run numbers start at 1 everywhere, and
    messages of Redis are common to all its databases.
    """
    shared = f"{settings.SECRET_KEY}\0{settings.DATABASES['default']['NAME']}"
    return hashlib.sha256(f"deployctl installation\0{shared}".encode()).hexdigest()[:8]
