"""Small Django and Alembic projects for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deployctl.operations.application.project import Project
from tests.operations.projects import write_project

SETTINGS = """
import os
from urllib.parse import parse_qsl, unquote, urlsplit

url = urlsplit(os.environ["DATABASE_URL"])
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": unquote(url.path[1:]), "USER": unquote(url.username), "PASSWORD": unquote(url.password),
    "HOST": url.hostname, "PORT": url.port, "OPTIONS": dict(parse_qsl(url.query)),
}}
SECRET_KEY = "for this test only"
INSTALLED_APPS = ["clinic"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
SQLITE = """
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "other.sqlite3"}}
SECRET_KEY = "for this test only"
INSTALLED_APPS = ["clinic"]
"""
MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
execute_from_command_line(sys.argv)
"""
ENV = """
import os
from alembic import context
from sqlalchemy import create_engine, make_url

url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg")
with create_engine(url).connect() as connection:
    context.configure(connection=connection, target_metadata=None, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""


def django_project(folder: Path, migrations: Mapping[str, str], *, settings: str = SETTINGS) -> Project:
    """Write a Django project with one app, `clinic`.

    Args:
        migrations: SQL by name, such as "0001_initial"; each depends on the one before. A text that
            starts with "class" is the Python code of the migration class instead.
    """
    files = {"manage.py": MANAGE, "settings.py": settings, "clinic/__init__.py": ""}
    files["clinic/migrations/__init__.py"] = ""
    before: str | None = None
    for name, content in migrations.items():
        dependencies = [("clinic", before)] if before else []
        body = (
            content
            if content.startswith("class")
            else "class Migration(migrations.Migration):\n"
            f"    dependencies = {dependencies}\n"
            f"    operations = [migrations.RunSQL({content!r})]\n"
        )
        files[f"clinic/migrations/{name}.py"] = f"from django.db import migrations\n\n\n{body}"
        before = name
    return write_project(folder, '[migrations]\ntool = "django"\n', files)


def alembic_project(folder: Path, revisions: Mapping[str, str], *, env: str = ENV) -> Project:
    """Write an Alembic project.

    Args:
        revisions: SQL by revision; each follows the one before.
    """
    files = {"alembic.ini": "[alembic]\nscript_location = %(here)s/alembic_scripts\n"}
    files["alembic_scripts/env.py"] = env
    before: str | None = None
    for name, script in revisions.items():
        files[f"alembic_scripts/versions/{name}_step.py"] = (
            f"from alembic import op\n\nrevision = {name!r}\ndown_revision = {before!r}\n\n\n"
            f"def upgrade():\n    op.execute({script!r})\n"
        )
        before = name
    return write_project(folder, '[migrations]\ntool = "alembic"\n', files)
