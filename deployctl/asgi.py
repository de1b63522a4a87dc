"""The ASGI application."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

from deployctl.web.body_limit import BodyLimit
from deployctl.web.file_forms import FileForms

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "deployctl.settings")

_django = get_asgi_application()

from deployctl.runs.urls import UPLOADS  # noqa: E402 - Django must be set up first

# The limit doesn't apply to files that are uploaded to these paths.
application = FileForms(BodyLimit(_django, max_bytes=settings.LARGEST_REQUEST), paths=UPLOADS)
