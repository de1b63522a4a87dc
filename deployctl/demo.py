"""The demonstration: a sample application, its people, two targets and a deployment ready to drive.

`deployctl up --demo` calls `prepare` at every start. Nothing here is special: it calls the verbs that people
call.
"""

from __future__ import annotations

import os
import secrets
import shutil
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import psycopg
from django.conf import settings
from django.utils import timezone
from psycopg import sql

from checklists.models import Deployment, Item, ItemState, Template
from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission, Role
from deployctl.audit import Machine
from deployctl.errors import InvalidInput, Refusal
from deployctl.postgres.connection import parse_url
from deployctl.runs.execution import supervisor
from deployctl.runs.models import Environment, Run, RunState, Target

DEMONSTRATION = Machine("demonstration")
OWNER = "healthcare_owner"
STAGING, PRODUCTION = "healthcare", "healthcare_db"
ROLLBACK_PLAN = """\
1. Stop the deployment: press Halt, tell everybody in the channel.
2. Assess: data corruption and breaches are critical, failed migrations high, slow queries medium.
3. Mark the failed migration as rolled back, restore the backup taken just before, validate, call
   the health URL.
4. Write down what went wrong, what was done, and what to change in this plan."""


class Member(NamedTuple):
    """Somebody of the sample team."""

    name: str
    role: Role | None
    permissions: tuple[Permission, ...]
    phone: str

    @property
    def email(self) -> str:
        """The address to sign in with; `.example` is reserved, no mail ever leaves (RFC 2606)."""
        return f"{self.name.split()[0].lower()}@healthcare.example"

    @property
    def title(self) -> str:
        """What they are, in words."""
        return self.role.label if self.role else "Administrator"


_OPERATOR, _APPROVER = Permission.OPERATOR, Permission.APPROVER
TEAM = (
    Member("Dana Okafor", Role.DBA, (_OPERATOR, _APPROVER), "+1 555 0101"),
    Member("Luca Moretti", Role.DEVOPS_LEAD, (_OPERATOR, _APPROVER), "+1 555 0102"),
    Member("Mei Tanaka", Role.CTO, (_APPROVER,), "+1 555 0103"),
    Member("Amir Haddad", Role.APP_TEAM_LEAD, (_APPROVER,), "+1 555 0104"),
    Member("Sofia Lindgren", Role.QA_LEAD, (_APPROVER,), "+1 555 0105"),
    Member("Tom Adeyemi", Role.ON_CALL, (_OPERATOR,), "+1 555 0106"),
    Member("Ines Duarte", None, (Permission.ADMINISTRATOR,), "+1 555 0100"),
)


def prepare() -> list[str]:
    """Make what is missing of the demonstration.

    Returns:
        Lines for the terminal: how to sign in. Passwords are among them the first time only.

    Raises:
        DeployctlError: with a sentence, when something cannot be made.
    """
    # At every start: the embedded server may listen on another port than the last time.
    references = _connection_files(_owner_url())
    if Deployment.objects.filter(target__name=PRODUCTION).exists():
        return ["Sign in as one of the sample people; their passwords were shown at the first start."]
    passwords = {member.email: secrets.token_urlsafe(12) for member in TEAM}
    people = {member: _person(member, passwords[member.email]) for member in TEAM}
    staging = _target(STAGING, Environment.STAGING, references, "staging: migrated and seeded")
    production = _target(
        PRODUCTION, Environment.PRODUCTION, references, "production: waits for its first deployment"
    )
    for target in (staging, production):
        for member, user in people.items():
            if member.role:
                target.assign(user, member.role, by=DEMONSTRATION)
    for kind in ("createdb", "migrate", "seed", "validate"):
        _run(staging, kind)
    deployment = _deployment(production, people)
    _complete_items_of_the_week_before(deployment, people)
    return _sign_in_instructions(passwords)


def _person(member: Member, password: str) -> User:
    found: User | None = User.objects.filter(email=member.email).first()
    if found is not None:  # an earlier start was interrupted: the password it made was never shown
        found.change_password(password, by=DEMONSTRATION)
        return found
    person: User = User.objects.create_person(
        email=member.email,
        name=member.name,
        password=password,
        permissions=member.permissions,
        phone=member.phone,
        by=DEMONSTRATION,
    )
    return person


def _owner_url() -> str:
    """A role on the embedded server that owns the sample databases and may do nothing else."""
    server = os.environ.get("DEPLOYCTL_EMBEDDED_URL", "")
    if not server:
        raise InvalidInput(
            "The demonstration needs the embedded PostgreSQL: start it with `deployctl up --demo`."
        )
    password = secrets.token_urlsafe(24)
    with psycopg.connect(parse_url(server).conninfo(), autocommit=True) as connection:
        exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [OWNER]).fetchone()
        verb = sql.SQL("ALTER" if exists else "CREATE")
        # As a verifier: a server's log may quote statements.
        verifier = connection.pgconn.encrypt_password(password.encode(), OWNER.encode(), b"scram-sha-256")
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN CREATEDB PASSWORD {}").format(
                verb, sql.Identifier(OWNER), sql.Literal(verifier.decode())
            )
        )
    parts = urlsplit(server)
    return f"postgresql://{OWNER}:{quote(password, safe='')}@{parts.hostname}:{parts.port}"


def _connection_files(server_url: str) -> dict[str, str]:
    """Write the connection URLs of the targets; references to them, by target."""
    databases = {STAGING: "healthcare_staging", PRODUCTION: "healthcare_db"}
    return {
        name: _secret_file(f"{name}.url", f"{server_url}/{database}") for name, database in databases.items()
    }


def _target(name: str, environment: Environment, references: dict[str, str], words: str) -> Target:
    if existing := Target.objects.filter(name=name).first():
        return existing
    target = Target.add(
        name=name,
        environment=environment,
        description=f"Sample application, {words}",
        connection_reference=references[name],
        project_folder=str(_project_folder()),
        by=DEMONSTRATION,
    )
    password = _secret_file(f"{name}.admin-password", secrets.token_urlsafe(24))
    target.set_secret_reference("ADMIN_DEFAULT_PASSWORD", password, by=DEMONSTRATION)
    return target


def _project_folder() -> Path:
    """The sample application, copied to where operations may write into it."""
    folder: Path = settings.DEPLOYCTL_DATA / "projects" / "healthcare"
    shutil.copytree(
        settings.BASE_DIR / "examples" / "healthcare",
        folder,
        ignore=shutil.ignore_patterns("node_modules", "generated", "__pycache__"),
        dirs_exist_ok=True,
    )
    return folder


def _secret_file(name: str, value: str) -> str:
    folder: Path = settings.DEPLOYCTL_DATA / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(value, encoding="utf-8")
    return f"file:{path}"


def _run(target: Target, kind: str) -> None:
    """Execute an operation here and now; the worker, which starts later, finds it done."""
    if target.runs.filter(kind=kind, state=RunState.SUCCEEDED).exists():
        return
    run = Run.request(target=target, kind=kind, params={}, by=DEMONSTRATION)
    supervisor.execute(run.pk)
    run.refresh_from_db()
    if run.state != RunState.SUCCEEDED:
        raise Refusal(f"The sample database could not be prepared: {kind} {run.state}. {run.summary}")


def _deployment(target: Target, people: dict[Member, User]) -> Deployment:
    version = Template.ensure_builtin()
    start = timezone.now().replace(minute=0, second=0, microsecond=0)
    return Deployment.create(
        target=target,
        template_version=version,
        title="Healthcare goes to production",
        window_start=start,
        window_end=start + timedelta(hours=6),
        team=[(user, member.role) for member, user in people.items() if member.role],
        rollback_plan=ROLLBACK_PLAN,
        by=people[TEAM[1]],
    )


def _complete_items_of_the_week_before(deployment: Deployment, people: dict[Member, User]) -> None:
    """Tick what lies before the deployment day, so that the visitor starts on the day itself."""
    by_role = {member.role: user for member, user in people.items()}
    first_phase = deployment.checklist.sections.earliest("position").phase
    items = Item.objects.filter(section__checklist=deployment.checklist, section__phase=first_phase)
    for item in items.filter(children=None).order_by("section__position", "position"):
        keeper = by_role.get(Role(item.role)) if item.role else None
        keeper = keeper or by_role[Role.DBA]
        if item.evidence_required:
            item.add_proof(keeper, "note", text="Sample evidence of the demonstration.")
        item.refresh_from_db()
        if item.state == ItemState.OPEN:
            item.complete(keeper, "Done before the demonstration begins.")


def _sign_in_instructions(passwords: dict[str, str]) -> list[str]:
    width = max(len(member.email) for member in TEAM)
    return [
        "Sign in as one of these people; the passwords are shown this once and stored nowhere:",
        *(f"  {member.email:<{width}}  {passwords[member.email]}  {member.title}" for member in TEAM),
        "Before signing or starting operations, each sets up an authenticator app (My account).",
    ]
