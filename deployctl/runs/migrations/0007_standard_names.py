"""Rename two kinds of operations and two of their parameters."""

from django.db import migrations

KINDS = {"take_in": "import_backup", "release": "drop_kept_database"}
PARAMETERS = {"no_backup_because": "no_backup_reason", "counts_suffice": "accept_row_counts"}


def rename(apps, kinds, parameters):
    runs = apps.get_model("runs", "Run").objects
    for old, new in kinds.items():
        runs.filter(kind=old).update(kind=new)
    for run in runs.filter(params__has_any_keys=list(parameters)).iterator():
        params = {parameters.get(name, name): value for name, value in run.params.items()}
        runs.filter(pk=run.pk).update(params=params)


def forwards(apps, _editor):
    rename(apps, KINDS, PARAMETERS)


def backwards(apps, _editor):
    rename(apps, {new: old for old, new in KINDS.items()}, {new: old for old, new in PARAMETERS.items()})


class Migration(migrations.Migration):
    dependencies = [("runs", "0006_backup_uploads")]

    operations = [migrations.RunPython(forwards, backwards)]
