"""Rename `gave_window_up` to `window_released`, and the constraints on completions and waivers."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.db import migrations, models

HOLDING = ["planning", "approved", "deploying", "verifying", "halted", "rolling_back"]


class Migration(migrations.Migration):
    dependencies = [("checklists", "0004_standard_names")]

    operations = [
        # The constraint's condition names the column.
        migrations.RemoveConstraint(model_name="deployment", name="one_deployment_per_target_and_time"),
        migrations.RenameField(
            model_name="deployment", old_name="gave_window_up", new_name="window_released"
        ),
        migrations.AddConstraint(
            model_name="deployment",
            constraint=ExclusionConstraint(
                name="one_deployment_per_target_and_time",
                expressions=[
                    (
                        models.Func(
                            models.F("target"), models.F("target"), models.Value("[]"), function="int8range"
                        ),
                        "&&",
                    ),
                    (
                        models.Func(
                            models.F("window_start"), models.F("window_end"), function="tstzrange"
                        ),
                        "&&",
                    ),
                ],
                condition=models.Q(state__in=HOLDING, window_released=False),
            ),
        ),
        migrations.RemoveConstraint(model_name="completion", name="one_standing_completion"),
        migrations.AddConstraint(
            model_name="completion",
            constraint=models.UniqueConstraint(
                fields=["item"], condition=models.Q(undone_at=None), name="one_active_completion"
            ),
        ),
        migrations.RemoveConstraint(model_name="waiver", name="one_standing_waiver"),
        migrations.AddConstraint(
            model_name="waiver",
            constraint=models.UniqueConstraint(
                fields=["item"], condition=models.Q(withdrawn_at=None), name="one_active_waiver"
            ),
        ),
    ]
