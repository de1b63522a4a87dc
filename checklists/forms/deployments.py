"""The forms that plan a deployment and change the plan."""

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

MINUTE = "%Y-%m-%dT%H:%M"
SPARE_ROWS = 3


class PlanForm(forms.Form):
    """What every deployment says of itself. Times are read and shown in the viewer's zone."""

    title = forms.CharField(max_length=TITLE_LENGTH, help_text="What it brings, in a few words.")
    window_start = forms.DateTimeField(
        label="Window opens", widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=MINUTE)
    )
    window_end = forms.DateTimeField(
        label="Window closes", widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=MINUTE)
    )
    rollback_plan = forms.CharField(
        max_length=TEXT_LENGTH,
        help_text="What is done, and by whom, when it goes wrong. The first gate approves this plan.",
        widget=forms.Textarea(attrs={"rows": 8}),
    )
    notes = forms.CharField(
        required=False,
        max_length=TEXT_LENGTH,
        help_text="Anything out of the ordinary. Notes may change at any time.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Name the zone in which times are read."""
        super().__init__(*args, **kwargs)
        zone = f"In your time zone, {timezone.get_current_timezone_name()}."
        for name in ("window_start", "window_end"):
            self.fields[name].help_text = zone


class DeploymentForm(PlanForm):
    """A new deployment: the plan, and of what."""

    target = forms.ModelChoiceField(queryset=Target.objects.none(), to_field_name="name", empty_label=None)
    template_version = forms.ModelChoiceField(
        queryset=TemplateVersion.objects.none(),
        label="Checklist",
        empty_label=None,
        help_text="The published template that its items and signatures are made from.",
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
        """Offer what this person may choose."""
        super().__init__(*args, **kwargs)
        self.fields["target"].queryset = Target.objects.visible_to(user).current()  # type: ignore[attr-defined]
        self.fields["template_version"].queryset = current_versions()  # type: ignore[attr-defined]


class SeatForm(forms.Form):
    """A person and their part; a row without a person is left out."""

    role = forms.ChoiceField(choices=[("", "—"), *Role.choices], required=False)
    user = forms.ChoiceField(label="Person", required=False)

    def __init__(self, *args: Any, people: Iterable[User] = (), **kwargs: Any) -> None:
        """Take the people once for all rows."""
        super().__init__(*args, **kwargs)
        self.people = {str(person.pk): person for person in people}
        self.fields["user"].choices = [  # type: ignore[attr-defined]
            ("", "nobody"),
            *((number, _named(person)) for number, person in self.people.items()),
        ]

    def clean(self) -> dict[str, Any]:
        """Ask for a role where there is a person."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("user") and not cleaned.get("role"):
            self.add_error("role", "Say what this person does.")
        return cleaned

    @property
    def seat(self) -> Seat | None:
        """The person with their role, if the row names one."""
        person = self.people.get(self.cleaned_data.get("user", ""))
        return (person, self.cleaned_data["role"]) if person else None


def _named(person: User) -> str:
    return f"{person.name} · {person.email}{'' if person.is_active else ' (disabled)'}"


if TYPE_CHECKING:
    _Rows = BaseFormSet[SeatForm]
else:
    _Rows = BaseFormSet


class TeamRows(_Rows):
    """The rows of a team."""

    @property
    def seats(self) -> list[Seat]:
        """Everybody who is named."""
        return [form.seat for form in self.forms if form.seat]


_Team = formset_factory(SeatForm, formset=TeamRows, extra=0, max_num=60, absolute_max=60)


def team_form(seats: Iterable[Seat], data: Any = None, *, spare: int = SPARE_ROWS) -> TeamRows:
    """Rows for a team: who is in it, a row for each role that nobody has, and some to spare.

    Args:
        seats: who is in it, or would usually be.
        data: what was posted, if it was.
    """
    taken = list(seats)
    rows = [{"role": role, "user": str(user.pk)} for user, role in taken]
    held = {row["role"] for row in rows}
    rows += [{"role": role.value, "user": ""} for role in Role if role.value not in held]
    rows += [{"role": "", "user": ""}] * spare
    # Whoever is in it stays to choose, so that saving something else does not drop disabled people unseen.
    people = list(User.objects.filter(Q(is_active=True) | Q(pk__in=[user.pk for user, _ in taken])))
    # A posted row that equals its initial values would count as empty, and its person be left out.
    rows_given = rows if data is None else None
    return cast("TeamRows", _Team(data, initial=rows_given, prefix="team", form_kwargs={"people": people}))


def current_versions() -> Any:
    """The newest published version of each template."""
    published = TemplateVersion.objects.filter(state=VersionState.PUBLISHED)
    newest = published.order_by("template_id", "-number").distinct("template_id")
    return TemplateVersion.objects.filter(pk__in=newest.values("pk")).select_related("template")


def usual_window() -> tuple[datetime, datetime]:
    """Tomorrow evening in the viewer's zone: two hours from 20:00."""
    tomorrow = timezone.localtime() + timedelta(days=1)
    start = tomorrow.replace(hour=20, minute=0, second=0, microsecond=0)
    return start, start + timedelta(hours=2)


def default_plan(version: TemplateVersion | None) -> str:
    """What the template says about rolling back, as a start for the plan."""
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


def plan_of(deployment: Deployment) -> dict[str, Any]:
    """A deployment's plan as the form begins with it, to the minute, which is all that browsers show."""
    return {
        "title": deployment.title,
        "window_start": deployment.window_start.replace(second=0, microsecond=0),
        "window_end": deployment.window_end.replace(second=0, microsecond=0),
        "rollback_plan": deployment.rollback_plan,
        "notes": deployment.notes,
    }
