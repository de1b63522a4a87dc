"""The web application, for an ASGI server such as uvicorn."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

from deployctl.web.body_limit import BodyLimit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "deployctl.settings")

application = BodyLimit(get_asgi_application(), at_most=settings.LARGEST_REQUEST)
