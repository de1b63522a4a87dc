"""The form that requests a rollback run: the backup and the operation's other parameters."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone

from checklists.models import Deployment, DeploymentState
from checklists.models.stage_rules import ROLLBACK
from deployctl.operations.framework.registry import operation
from deployctl.runs.forms.operations import form_for
from deployctl.runs.models import Backup
from deployctl.web.templatetags.web import duration

BEFORE, LATER = "Taken before the deployment started", "Taken later"


class RollbackForm(forms.Form):
    """The operation's parameters, with the target's backups as choices; create it with `of`."""

    # The newest backup that was taken before the deployment started. Uploads are never proposed, because the
    # time in an upload is only what its sender claims.
    proposed: Backup | None

    @classmethod
    def of(cls, deployment: Deployment, data: Any = None) -> RollbackForm:
        """Return the form for a deployment.

        Args:
            deployment: the deployment to roll back.
            data: the submitted data, if any.
        """
        start = deployment.state_changes.filter(to_state=DeploymentState.DEPLOYING).first()
        # Only dumps: a rollback restores one database, but pgBackRest restores a whole cluster.
        backups = Backup.objects.dumps().for_display().filter(target=deployment.target_id, expired_at=None)
        groups: dict[str, list[Backup]] = {BEFORE: [], LATER: []}
        for backup in backups.order_by("-snapshot_at"):
            groups[BEFORE if start and backup.snapshot_at < start.at else LATER].append(backup)
        form = cls(data, auto_id="id_rollback_%s")
        form.proposed = next((backup for backup in groups[BEFORE] if not backup.uploaded_from), None)
        form.fields = dict(form_for(operation(ROLLBACK))().fields)
        form.fields["backup"] = forms.ChoiceField(
            label="Backup",
            choices=[
                ("", "Choose a backup"),
                *(
                    (title, [(backup.name, _backup_label(backup)) for backup in group])
                    for title, group in groups.items()
                    if group
                ),
            ],
            initial=form.proposed.name if form.proposed else "",
        )
        form.order_fields(["backup", "migration"])
        return form


def _backup_label(backup: Backup) -> str:
    seconds = backup.last_restore_s
    restored = f"restored in {duration(seconds)}" if seconds is not None else "never restored"
    taken = timezone.localtime(backup.snapshot_at)
    facts = [f"{taken:%-d %b, %H:%M}", backup.trust.label.lower(), restored, backup.origin]
    return f"{', '.join(filter(None, facts))}: {backup.name}"
