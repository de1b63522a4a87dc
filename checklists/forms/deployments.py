"""Forms that create a deployment and edit its plan."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.db.models import Q
from django.forms import BaseFormSet, formset_factory
from django.utils import timezone

from checklists.markdown import ParsedCommands, ParsedNote
from checklists.models import Deployment, TemplateVersion, VersionState
from checklists.models.team import Seat
from checklists.validators import TEXT_LENGTH, TITLE_LENGTH
from deployctl.accounts.models import User
from deployctl.accounts.roles import Role
from deployctl.runs.models import Target

DATETIME_LOCAL = "%Y-%m-%dT%H:%M"
SPARE_ROWS = 3


class PlanForm(forms.Form):
    """A deployment's plan; times are in the viewer's time zone."""

    title = forms.CharField(max_length=TITLE_LENGTH, help_text="A few words on what this deployment changes.")
    window_start = forms.DateTimeField(
        label="Window opens",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=DATETIME_LOCAL),
    )
    window_end = forms.DateTimeField(
        label="Window closes",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=DATETIME_LOCAL),
    )
    rollback_plan = forms.CharField(
        max_length=TEXT_LENGTH,
        help_text="What to do if the deployment fails, and who does it. The first gate approves this plan.",
        widget=forms.Textarea(attrs={"rows": 8}),
    )
    notes = forms.CharField(
        required=False,
        max_length=TEXT_LENGTH,
        help_text="Anything unusual about this deployment. You can change notes at any time.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Add the time zone to the help text of time fields."""
        super().__init__(*args, **kwargs)
        help_text = f"In your time zone, {timezone.get_current_timezone_name()}."
        for name in ("window_start", "window_end"):
            self.fields[name].help_text = help_text


class DeploymentForm(PlanForm):
    """A new deployment: its target, checklist and plan."""

    target = forms.ModelChoiceField(queryset=Target.objects.none(), to_field_name="name", empty_label=None)
    template_version = forms.ModelChoiceField(
        queryset=TemplateVersion.objects.none(),
        label="Checklist",
        empty_label=None,
        help_text="The published template that defines the deployment's items and signatures.",
    )

    field_order = [
        "target",
        "template_version",
        "title",
        "window_start",
        "window_end",
        "rollback_plan",
        "notes",
    ]

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        """Limit the choices to targets that the user can see and to current template versions."""
        super().__init__(*args, **kwargs)
        self.fields["target"].queryset = Target.objects.visible_to(user).current()  # type: ignore[attr-defined]
        self.fields["template_version"].queryset = current_versions()  # type: ignore[attr-defined]


class TeamMemberForm(forms.Form):
    """A person and their role in the team; a row without a person is ignored."""

    role = forms.ChoiceField(choices=[("", "—"), *Role.choices], required=False)
    user = forms.ChoiceField(label="Person", required=False)

    def __init__(self, *args: Any, people: Iterable[User] = (), **kwargs: Any) -> None:
        """Offer `people`, which all rows share."""
        super().__init__(*args, **kwargs)
        self.people = {str(person.pk): person for person in people}
        self.fields["user"].choices = [  # type: ignore[attr-defined]
            ("", "Nobody"),
            *((pk, _person_label(person)) for pk, person in self.people.items()),
        ]

    def clean(self) -> dict[str, Any]:
        """Require a role for a selected person."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("user") and not cleaned.get("role"):
            self.add_error("role", "Choose a role for this person.")
        return cleaned

    @property
    def member(self) -> Seat | None:
        """The selected person and their role; None if the row has no person."""
        person = self.people.get(self.cleaned_data.get("user", ""))
        return (person, self.cleaned_data["role"]) if person else None


def _person_label(person: User) -> str:
    return f"{person.name} · {person.email}{'' if person.is_active else ' (disabled)'}"


if TYPE_CHECKING:
    _TeamFormSetBase = BaseFormSet[TeamMemberForm]
else:
    _TeamFormSetBase = BaseFormSet


class TeamFormSet(_TeamFormSetBase):
    """The rows of a team."""

    @property
    def members(self) -> list[Seat]:
        """The selected people with their roles."""
        return [form.member for form in self.forms if form.member]


_TeamFormSet = formset_factory(TeamMemberForm, formset=TeamFormSet, extra=0, max_num=60, absolute_max=60)


def team_formset(members: Iterable[Seat], data: Any = None, *, spare: int = SPARE_ROWS) -> TeamFormSet:
    """Return rows for the members, one row for each role that nobody has, and some spare rows.

    Args:
        members: the current or the default team.
        data: the submitted data, if any.
        spare: how many empty rows to add.
    """
    present = list(members)
    rows = [{"role": role, "user": str(user.pk)} for user, role in present]
    assigned = {row["role"] for row in rows}
    rows += [{"role": role.value, "user": ""} for role in Role if role.value not in assigned]
    rows += [{"role": "", "user": ""}] * spare
    # Disabled members stay in the list, so that saving another field does not silently remove them.
    people = list(User.objects.filter(Q(is_active=True) | Q(pk__in=[user.pk for user, _ in present])))
    # Django ignores a submitted row that equals its initial values, which would remove the person.
    initial = rows if data is None else None
    formset = _TeamFormSet(data, initial=initial, prefix="team", form_kwargs={"people": people})
    return cast("TeamFormSet", formset)


def current_versions() -> Any:
    """Return the newest published version of each template."""
    published = TemplateVersion.objects.filter(state=VersionState.PUBLISHED)
    newest = published.order_by("template_id", "-number").distinct("template_id")
    return TemplateVersion.objects.filter(pk__in=newest.values("pk")).select_related("template")


def default_window() -> tuple[datetime, datetime]:
    """Return tomorrow from 20:00 to 22:00 in the viewer's time zone."""
    tomorrow = timezone.localtime() + timedelta(days=1)
    start = tomorrow.replace(hour=20, minute=0, second=0, microsecond=0)
    return start, start + timedelta(hours=2)


def default_rollback_plan(version: TemplateVersion | None) -> str:
    """Return the notes and commands of the template's rollback phases as Markdown."""
    if version is None:
        return ""
    parts = [
        _as_markdown(block)
        for phase in version.parsed().phases
        if "rollback" in phase.title.lower()
        for section in phase.sections
        if "contact" not in section.title.lower()
        for block in section.blocks
        if isinstance(block, (ParsedNote, ParsedCommands))
    ]
    return "\n\n".join(parts)


def _as_markdown(block: ParsedNote | ParsedCommands) -> str:
    if isinstance(block, ParsedNote):
        return block.text
    return f"```{block.language}\n{block.source}\n```"


def initial_plan(deployment: Deployment) -> dict[str, Any]:
    """Return the form's initial values; times are cut to the minute, because browsers show no seconds."""
    return {
        "title": deployment.title,
        "window_start": deployment.window_start.replace(second=0, microsecond=0),
        "window_end": deployment.window_end.replace(second=0, microsecond=0),
        "rollback_plan": deployment.rollback_plan,
        "notes": deployment.notes,
    }
