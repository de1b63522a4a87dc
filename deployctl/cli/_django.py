"""For commands that need the application: set Django up, with sentences where that fails."""

from __future__ import annotations

import os

import django
from django.core.exceptions import ImproperlyConfigured

from deployctl.errors import DeployctlError


def setup() -> None:
    """Load the settings and the models. Call it before importing anything that has models.

    Raises:
        DeployctlError: when the installation is not configured.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "deployctl.settings")
    try:
        django.setup()
    except ImproperlyConfigured as error:
        folder = os.environ.get("DEPLOYCTL_DATA", ".deployctl")
        raise DeployctlError(
            f"There is no usable installation here: {error} The settings come from the environment or from "
            f"the file {folder}/environment, which `deployctl up` writes."
        ) from error
