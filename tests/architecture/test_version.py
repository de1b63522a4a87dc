"""The version of deployctl comes from pyproject.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from django.conf import settings
from django.test import Client

from deployctl.accounts.models import User
from deployctl.cli import cli

PYPROJECT = tomllib.loads((Path(settings.BASE_DIR) / "pyproject.toml").read_text(encoding="utf-8"))
VERSION = f"deployctl {PYPROJECT['project']['version']}"


def test_the_command_line_prints_the_version() -> None:
    assert CliRunner().invoke(cli, ["--version"], prog_name="deployctl").output == f"{VERSION}\n"


def test_the_footer_shows_the_version_to_signed_in_people(viewer: User, signed_in: Any) -> None:
    assert f">{VERSION}</footer>" in signed_in(viewer).get("/account/").content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/account/login/", "/nothing-here/"])
def test_the_version_is_hidden_from_signed_out_visitors(path: str) -> None:
    assert VERSION not in Client().get(path).content.decode()
