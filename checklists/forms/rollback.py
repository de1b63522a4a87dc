"""The form of a rollback: which backup, and what else the operation asks."""

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

BEFORE, LATER = "Taken before the deployment began", "Taken later"


class RollbackForm(forms.Form):
    """The operation's own fields, with the target's backups to choose from; made by `of`."""

    # The one that is proposed: the newest of ours that was taken before the deployment began. What somebody
    # uploaded says itself when it was taken, and is restored by name only.
    proposed: Backup | None

    @classmethod
    def of(cls, deployment: Deployment, data: Any = None) -> RollbackForm:
        """The form for a deployment.

        Args:
            data: what was posted.
        """
        began = deployment.state_changes.filter(to_state=DeploymentState.DEPLOYING).first()
        # Only dumps: rolling back restores one database, pgBackRest a whole cluster.
        backups = Backup.objects.dumps().for_display().filter(target=deployment.target_id, expired_at=None)
        groups: dict[str, list[Backup]] = {BEFORE: [], LATER: []}
        for backup in backups.order_by("-snapshot_at"):
            groups[BEFORE if began and backup.snapshot_at < began.at else LATER].append(backup)
        form = cls(data, auto_id="id_rollback_%s")
        form.proposed = next((one for one in groups[BEFORE] if not one.uploaded_from), None)
        form.fields = dict(form_for(operation(ROLLBACK))().fields)
        form.fields["backup"] = forms.ChoiceField(
            label="Backup",
            choices=[
                ("", "Choose one"),
                *(
                    (title, [(one.name, _in_words(one)) for one in found])
                    for title, found in groups.items()
                    if found
                ),
            ],
            initial=form.proposed.name if form.proposed else "",
        )
        form.order_fields(["backup", "migration"])
        return form


def _in_words(backup: Backup) -> str:
    took = backup.last_restore_s
    restored = f"restored in {duration(took)}" if took is not None else "never restored"
    taken = timezone.localtime(backup.snapshot_at)
    facts = [f"{taken:%-d %b, %H:%M}", backup.trust.label.lower(), restored, backup.origin]
    return f"{', '.join(filter(None, facts))}: {backup.name}"
