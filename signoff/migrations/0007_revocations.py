import django.db.models.deletion
from django.db import migrations, models

RENAMED_TABLES = (
    ("signoff_withdrawal", "signoff_signaturerevocation"),
    ("signoff_delegationwithdrawal", "signoff_delegationrevocation"),
)


class Migration(migrations.Migration):
    dependencies = [("signoff", "0006_evidence_packs")]

    operations = [
        migrations.RenameModel("Withdrawal", "SignatureRevocation"),
        migrations.RenameModel("DelegationWithdrawal", "DelegationRevocation"),
        migrations.AlterField(
            model_name="signaturerevocation",
            name="signature",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="revocation",
                to="signoff.signature",
            ),
        ),
        migrations.AlterField(
            model_name="delegationrevocation",
            name="delegation",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="revocation",
                to="signoff.delegation",
            ),
        ),
        # The triggers moved with their tables; only their names are old.
        *(
            migrations.RunSQL(
                f"ALTER TRIGGER {old}_permanent ON {new} RENAME TO {new}_permanent",
                f"ALTER TRIGGER {new}_permanent ON {new} RENAME TO {old}_permanent",
            )
            for old, new in RENAMED_TABLES
        ),
        migrations.RemoveConstraint(model_name="slot", name="slot_asks_for_somebody"),
        migrations.AddConstraint(
            model_name="slot",
            constraint=models.CheckConstraint(
                condition=models.Q(quorum__gte=1), name="slot_quorum_positive"
            ),
        ),
    ]
