"""For commands that need the application: set Django up, and name the person at the command line."""

from __future__ import annotations

import getpass
import os

import django
from django.core.exceptions import ImproperlyConfigured

from deployctl.audit.actors import Machine
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


def command_line_actor() -> Machine:
    """Return the actor of what a command does: the operating system's account."""
    return Machine(f"command line: {getpass.getuser()}")
