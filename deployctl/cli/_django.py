"""Django setup and the actor for commands that need the application."""

from __future__ import annotations

import getpass
import os

import django
from django.core.exceptions import ImproperlyConfigured

from deployctl.audit.actors import Machine
from deployctl.errors import DeployctlError


def setup() -> None:
    """Load the settings and the models. Call this before importing a module with models.

    Raises:
        DeployctlError: the installation isn't configured.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "deployctl.settings")
    try:
        django.setup()
    except ImproperlyConfigured as error:
        folder = os.environ.get("DEPLOYCTL_DATA", ".deployctl")
        raise DeployctlError(
            f"No usable installation was found: {error} Set the settings in the environment, or run "
            f"`deployctl up`, which writes them to {folder}/environment."
        ) from error


def command_line_actor() -> Machine:
    """Return the actor of a command, named after the operating system account."""
    return Machine(f"command line: {getpass.getuser()}")
