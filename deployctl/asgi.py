"""The web application, for an ASGI server such as uvicorn."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

from deployctl.web.body_limit import BodyLimit
from deployctl.web.file_forms import FileForms

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "deployctl.settings")

_django = get_asgi_application()

from deployctl.runs.urls import UPLOADS  # noqa: E402 - Django has to be set up first

# A file that is sent in for one of these is not part of the body that the limit is about.
application = FileForms(BodyLimit(_django, max_bytes=settings.LARGEST_REQUEST), paths=UPLOADS)
