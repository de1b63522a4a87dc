"""Rename three columns and the reasons why sessions ended."""

from django.db import migrations

REASONS = {
    "too long": "session limit reached",
    "signed out from elsewhere": "signed out remotely",
    "link to single sign-on forgotten": "single sign-on unlinked",
}


def rename(apps, reasons):
    for old, new in reasons.items():
        apps.get_model("accounts", "SignIn").objects.filter(ended_because=old).update(ended_because=new)


def forwards(apps, _editor):
    rename(apps, REASONS)


def backwards(apps, _editor):
    rename(apps, {new: old for old, new in REASONS.items()})


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_readable_names")]

    operations = [
        migrations.RenameField("user", "first_password_until", "temporary_password_until"),
        migrations.RenameField("user", "wrong_password_told_at", "wrong_password_alerted_at"),
        migrations.RenameField("user", "wrong_code_told_at", "wrong_code_alerted_at"),
        migrations.RunPython(forwards, backwards),
    ]
