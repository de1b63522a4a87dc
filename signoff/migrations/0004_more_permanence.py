from django.db import migrations

from signoff import triggers


class Migration(migrations.Migration):
    dependencies = [("signoff", "0003_delegations_and_withdrawals")]

    operations = [migrations.RunSQL(triggers.INSTALL_LATER, triggers.REMOVE_LATER)]
