"""Rename two kinds of operations."""

from django.db import migrations

KINDS = {"take_in": "import_backup", "release": "drop_kept_database"}


def rename(apps, kinds):
    for old, new in kinds.items():
        apps.get_model("checklists", "Item").objects.filter(operation=old).update(operation=new)


def forwards(apps, _editor):
    rename(apps, KINDS)


def backwards(apps, _editor):
    rename(apps, {new: old for old, new in KINDS.items()})


class Migration(migrations.Migration):
    dependencies = [("checklists", "0003_windows_given_up")]

    operations = [migrations.RunPython(forwards, backwards)]
