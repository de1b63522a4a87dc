from django.db import migrations

from signoff import triggers


class Migration(migrations.Migration):
    dependencies = [("signoff", "0001_initial")]

    operations = [migrations.RunSQL(triggers.INSTALL, triggers.REMOVE)]
