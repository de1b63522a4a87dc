"""The demo: a sample application with users, two targets and a planned deployment.

`deployctl up --demo` calls `prepare` at every start. It uses the same methods of the models as the views.
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

DEMO = Machine("demo")
OWNER = "healthcare_owner"
STAGING, PRODUCTION = "healthcare", "healthcare_db"
ROLLBACK_PLAN = """\
1. Halt the deployment and notify the team in the incident channel.
2. Assess the severity: data corruption or a breach is critical, a failed migration is high, slow
   queries are medium.
3. Mark the failed migration as rolled back, restore the pre-deployment backup, run the validation
   and check the health URL.
4. Record what went wrong, what was done, and how to improve this plan."""


class Member(NamedTuple):
    """A user of the sample team."""

    name: str
    role: Role | None
    permissions: tuple[Permission, ...]
    phone: str

    @property
    def email(self) -> str:
        """The e-mail address. `.example` is reserved, so no mail is ever delivered (RFC 2606)."""
        return f"{self.name.split()[0].lower()}@healthcare.example"

    @property
    def title(self) -> str:
        """The role as text."""
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
    """Create the missing parts of the demo.

    Returns:
        Lines for the terminal that explain how to sign in. Only the first call shows the passwords.

    Raises:
        DeployctlError: something could not be created.
    """
    # At every start, because the port of the embedded server may change.
    references = _connection_files(_owner_url())
    if Deployment.objects.filter(target__name=PRODUCTION).exists():
        return ["Sign in as one of the sample users. Their passwords were shown at the first start."]
    passwords = {member.email: secrets.token_urlsafe(12) for member in TEAM}
    people = {member: _person(member, passwords[member.email]) for member in TEAM}
    staging = _target(
        STAGING, Environment.STAGING, references, "Staging database of the sample app, migrated and seeded"
    )
    production = _target(
        PRODUCTION,
        Environment.PRODUCTION,
        references,
        "Production database of the sample app, ready for its first deployment",
    )
    for target in (staging, production):
        for member, user in people.items():
            if member.role:
                target.assign(user, member.role, by=DEMO)
    for kind in ("createdb", "migrate", "seed", "validate"):
        _run(staging, kind)
    deployment = _deployment(production, people)
    _complete_first_phase(deployment, people)
    return _sign_in_instructions(passwords)


def _person(member: Member, password: str) -> User:
    found: User | None = User.objects.filter(email=member.email).first()
    if found is not None:  # an earlier start was interrupted, so the password was never shown
        found.change_password(password, by=DEMO)
        return found
    person: User = User.objects.create_person(
        email=member.email,
        name=member.name,
        password=password,
        permissions=member.permissions,
        phone=member.phone,
        by=DEMO,
    )
    return person


def _owner_url() -> str:
    """Create the role that owns the sample databases on the embedded server, and return its URL."""
    server = os.environ.get("DEPLOYCTL_EMBEDDED_URL", "")
    if not server:
        raise InvalidInput(
            "The demo needs the embedded PostgreSQL server. Start it with `deployctl up --demo`."
        )
    password = secrets.token_urlsafe(24)
    with psycopg.connect(parse_url(server).conninfo(), autocommit=True) as connection:
        exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [OWNER]).fetchone()
        verb = sql.SQL("ALTER" if exists else "CREATE")
        # As a verifier, because the server may log statements.
        verifier = connection.pgconn.encrypt_password(password.encode(), OWNER.encode(), b"scram-sha-256")
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN CREATEDB PASSWORD {}").format(
                verb, sql.Identifier(OWNER), sql.Literal(verifier.decode())
            )
        )
    parts = urlsplit(server)
    return f"postgresql://{OWNER}:{quote(password, safe='')}@{parts.hostname}:{parts.port}"


def _connection_files(server_url: str) -> dict[str, str]:
    """Write the connection URL of each target to a file, and return the references by target."""
    databases = {STAGING: "healthcare_staging", PRODUCTION: "healthcare_db"}
    return {
        name: _secret_file(f"{name}.url", f"{server_url}/{database}") for name, database in databases.items()
    }


def _target(name: str, environment: Environment, references: dict[str, str], description: str) -> Target:
    if existing := Target.objects.filter(name=name).first():
        return existing
    target = Target.add(
        name=name,
        environment=environment,
        description=description,
        connection_reference=references[name],
        project_folder=str(_project_folder()),
        by=DEMO,
    )
    password = _secret_file(f"{name}.admin-password", secrets.token_urlsafe(24))
    target.set_secret_reference("ADMIN_DEFAULT_PASSWORD", password, by=DEMO)
    return target


def _project_folder() -> Path:
    """Copy the sample application into the data folder, where operations may write, and return its path."""
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
    """Execute an operation in this process, because the worker isn't running yet."""
    if target.runs.filter(kind=kind, state=RunState.SUCCEEDED).exists():
        return
    run = Run.request(target=target, kind=kind, params={}, by=DEMO)
    supervisor.execute(run.pk)
    run.refresh_from_db()
    if run.state != RunState.SUCCEEDED:
        raise Refusal(
            f"The sample database could not be prepared: “{kind}” ended as {run.state}. {run.summary}"
        )


def _deployment(target: Target, people: dict[Member, User]) -> Deployment:
    version = Template.ensure_builtin()
    start = timezone.now().replace(minute=0, second=0, microsecond=0)
    return Deployment.create(
        target=target,
        template_version=version,
        title="First release of the Healthcare app",
        window_start=start,
        window_end=start + timedelta(hours=6),
        team=[(user, member.role) for member, user in people.items() if member.role],
        rollback_plan=ROLLBACK_PLAN,
        by=people[TEAM[1]],
    )


def _complete_first_phase(deployment: Deployment, people: dict[Member, User]) -> None:
    """Complete the items that are due before the deployment day, so that the demo starts on that day."""
    by_role = {member.role: user for member, user in people.items()}
    first_phase = deployment.checklist.sections.earliest("position").phase
    items = Item.objects.filter(section__checklist=deployment.checklist, section__phase=first_phase)
    for item in items.filter(children=None).order_by("section__position", "position"):
        user = by_role.get(Role(item.role)) if item.role else None
        user = user or by_role[Role.DBA]
        if item.evidence_required:
            item.add_proof(user, "note", text="Sample evidence for the demo.")
        item.refresh_from_db()
        if item.state == ItemState.OPEN:
            item.complete(user, "Completed in the week before the deployment.")


def _sign_in_instructions(passwords: dict[str, str]) -> list[str]:
    width = max(len(member.email) for member in TEAM)
    return [
        "Sign in as one of these sample users. Their passwords are shown only once:",
        *(f"  {member.email:<{width}}  {passwords[member.email]}  {member.title}" for member in TEAM),
        "To sign or start operations, set up an authenticator app under “My account” first.",
    ]
