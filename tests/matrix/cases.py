"""Every address with every method it answers, and who is let in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from django.utils import timezone

from deployctl.accounts.models import ApiToken, SignIn
from deployctl.accounts.testing import current_code
from deployctl.runs.models import Backup
from signoff import record as records
from tests.matrix.rules import (
    ADMINISTRATOR,
    APPROVER,
    DBA,
    FRESH_ADMINISTRATOR,
    FRESH_ENROLLED,
    FRESH_OPERATOR,
    HALTING,
    IDENTIFIED,
    KEEPER,
    LEADING,
    MEMBER,
    OPERATOR,
    PUBLIC,
    SLOT,
    TEAM,
    TOKEN,
    Rule,
)
from tests.matrix.world import Side, World
from tests.people import PASSWORD

Values = Callable[[World, Side], dict[str, Any]]


def nothing(_world: World, _side: Side) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Case:
    """A request.

    Args:
        name: of the address.
        method: GET, POST or DELETE.
        rule: who is let in.
        kwargs: what the address names.
        body: what is posted.
    """

    name: str
    method: str
    rule: Rule
    kwargs: Values = nothing
    body: Values = field(default=nothing)

    def __str__(self) -> str:
        return f"{self.method} {self.name}"


def number(which: Callable[[Side], Any]) -> Values:
    """The address names a row by its number."""
    return lambda _world, side: {"number": which(side).pk}


deployment = number(lambda side: side.deployment)
item = number(lambda side: side.item)
dba_item = number(lambda side: side.dba_item)
run = number(lambda side: side.run)


def section(_world: World, side: Side) -> dict[str, Any]:
    return {"number": side.item.section_id}


def target(_world: World, side: Side) -> dict[str, Any]:
    return {"name": side.target.name}


def role_on_target(_world: World, side: Side) -> dict[str, Any]:
    return {"name": side.target.name, "number": side.target.role_assignments.get().pk}


def role_of_somebody(world: World, side: Side) -> dict[str, Any]:
    return {"number": world.somebody.pk, "role": side.target.role_assignments.get(user=world.somebody).pk}


def secret(_world: World, side: Side) -> dict[str, Any]:
    return {"name": side.target.name, "secret": "EXTRA"}


def backup(_world: World, side: Side) -> dict[str, Any]:
    """One whose files are gone: who is let in is told so."""
    made = Backup.objects.create(
        target=side.target,
        run=side.run,
        name=f"{side.target.name}-1",
        size_bytes=1,
        files=1,
        snapshot_at=timezone.now(),
    )
    return {"name": made.name}


def somebody(world: World, _side: Side) -> dict[str, Any]:
    return {"number": world.somebody.pk}


def version(world: World, _side: Side) -> dict[str, Any]:
    return {"slug": world.version.template.slug, "number": world.version.number}


def token(world: World, _side: Side) -> dict[str, Any]:
    """A token of somebody's."""
    made, _ = ApiToken.objects.issue(by=world.somebody, name="CI", scopes=["gate:pre"], days=1)
    return {"number": made.pk}


def session_of_somebody(world: World, _side: Side) -> dict[str, Any]:
    """A session that is not the asker's own."""
    from django.http import HttpRequest
    from django.test import Client

    request = HttpRequest()
    request.session = Client().session
    return {"number": SignIn.objects.begin(request, world.somebody).pk}


def signature(world: World, side: Side) -> dict[str, Any]:
    """Everything that a signature takes."""
    from deployctl.accounts.models import TotpFactor

    asker_has_factor = TotpFactor.objects.filter(user=world.asking, confirmed=True).exists()
    return {
        "slot": side.slot.pk,
        "digest": records.digest(side.gate.record()),
        "password": PASSWORD,
        "code": current_code(world.asking) if asker_has_factor else "000000",
        "meaning": "on",
    }


def delegation(world: World, side: Side) -> dict[str, Any]:
    """Everything that a delegation takes."""
    until = timezone.localtime() + timedelta(days=1)
    return {"slot": side.slot.pk, "to": world.somebody.pk, "until": f"{until:%Y-%m-%dT%H:%M}"}


def of_deployment(_world: World, side: Side) -> dict[str, Any]:
    return {"deployment_id": side.deployment.pk}


FRESH_SLOT = replace(SLOT, fresh=True)
FRESH_NO_SUCH_ROW = replace(FRESH_ENROLLED, absent=True)
NEW_FACTOR = Rule(fresh=True)
BETWEEN = Rule(leads_to_sign_in=True)
OWN_SESSION_ONLY = Rule(absent=True)
OWN_PASSKEY_ONLY = Rule(enrolled=True, fresh=True, absent=True)
CODE_PAGE = Rule(leads_to_code=True)


def reason(_world: World, _side: Side) -> dict[str, Any]:
    return {"reason": "It has to be."}


def reset_key(_world: World, _side: Side) -> dict[str, Any]:
    return {"uidb36": "1", "key": "set-password"}


def read(name: str, rule: Rule = MEMBER, kwargs: Values = nothing) -> Case:
    """A page, a part of one, a stream or a download."""
    return Case(name, "GET", rule, kwargs)


def act(name: str, rule: Rule, kwargs: Values = nothing, body: Values = nothing) -> Case:
    """Something that changes something."""
    return Case(name, "POST", rule, kwargs, body)


def undo(name: str, rule: Rule, kwargs: Values = nothing) -> Case:
    """Something that takes something back."""
    return Case(name, "DELETE", rule, kwargs)


SIGNING_IN = [
    *(
        case
        for name in ("account_login", "account_reset_password", "account_signup")
        for case in (read(name, PUBLIC), act(name, PUBLIC))
    ),
    # Between password and code; who gave no password is sent to do it.
    read("accounts:sign_in_code", BETWEEN),
    act("accounts:sign_in_code", BETWEEN),
    act("accounts:sign_in_passkey", BETWEEN),
    act("accounts:single_sign_on", PUBLIC),
    read("openid_connect_callback", PUBLIC, lambda _world, _side: {"provider_id": "sso"}),
    read("account_inactive", PUBLIC),
    read("account_reset_password_done", PUBLIC),
    read("account_reset_password_from_key_done", PUBLIC),
    read("account_reset_password_from_key", PUBLIC, reset_key),
    act("account_reset_password_from_key", PUBLIC, reset_key),
]

ACCOUNT = [
    read("account_change_password"),
    act("account_change_password", MEMBER),
    read("accounts:account"),
    act("accounts:account", MEMBER),
    read("accounts:step_up", CODE_PAGE),
    act("accounts:step_up", CODE_PAGE),
    act("accounts:reauthentication", IDENTIFIED),
    act("accounts:passkey_challenge", IDENTIFIED),
    act("accounts:recovery_codes", FRESH_ENROLLED),
    undo("accounts:passkey", OWN_PASSKEY_ONLY, somebody),
    undo("accounts:other_sessions", MEMBER),
    undo("accounts:session", OWN_SESSION_ONLY, session_of_somebody),
]

PEOPLE = [
    read("accounts:people", ADMINISTRATOR),
    read("accounts:new_person", FRESH_ADMINISTRATOR),
    act("accounts:new_person", FRESH_ADMINISTRATOR),
    read("accounts:person", ADMINISTRATOR, somebody),
    act("accounts:person", ADMINISTRATOR, somebody),
    act("accounts:permissions", FRESH_ADMINISTRATOR, somebody),
    act("accounts:suspension", FRESH_ADMINISTRATOR, somebody),
    undo("accounts:suspension", FRESH_ADMINISTRATOR, somebody),
    act("accounts:invitation", FRESH_ADMINISTRATOR, somebody),
    undo("accounts:invitation", FRESH_ADMINISTRATOR, somebody),
    act("accounts:temporary_password", FRESH_ADMINISTRATOR, somebody),
    undo("accounts:person_sessions", FRESH_ADMINISTRATOR, somebody),
    undo("accounts:person_link", FRESH_ADMINISTRATOR, somebody),
    read("runs:person_roles", FRESH_ADMINISTRATOR, somebody),
    act("runs:person_roles", FRESH_ADMINISTRATOR, somebody),
    undo("runs:person_role", FRESH_ADMINISTRATOR, role_of_somebody),
    undo("accounts:person_factor", FRESH_ADMINISTRATOR, somebody),
    read("accounts:tokens", ADMINISTRATOR),
    read("accounts:new_token", FRESH_ADMINISTRATOR),
    act("accounts:new_token", FRESH_ADMINISTRATOR),
    undo("accounts:token", FRESH_ADMINISTRATOR, token),
    read("audit:entries", APPROVER),
    read("audit:export", APPROVER),
    act("audit:verification", APPROVER),
]

TARGETS = [
    read("runs:live"),
    read("runs:targets"),
    read("runs:target_new", ADMINISTRATOR),
    act("runs:target_new", ADMINISTRATOR),
    read("runs:target", MEMBER, target),
    read("runs:target_recent", MEMBER, target),
    read("runs:target_settings", ADMINISTRATOR, target),
    act("runs:target_settings", ADMINISTRATOR, target),
    act("runs:target_roles", ADMINISTRATOR, target),
    undo("runs:target_role", ADMINISTRATOR, role_on_target),
    act("runs:target_secrets", ADMINISTRATOR, target),
    undo("runs:target_secret", ADMINISTRATOR, secret),
    act("runs:target_stored_secrets", ADMINISTRATOR, target),
    act("runs:target_physical_engine", ADMINISTRATOR, target),
    undo("runs:target_physical_engine", ADMINISTRATOR, target),
    read("runs:retention", MEMBER, target),
    act("runs:retention_policy", ADMINISTRATOR, target),
    act("runs:target_archival", ADMINISTRATOR, target),
    act("runs:target_connection", OPERATOR, target),
    act("runs:target_runs", OPERATOR, target),
    read("runs:target_backups", MEMBER, target),
]

RUNS = [
    read("runs:runs"),
    read("runs:run", MEMBER, run),
    read("runs:run_part", MEMBER, lambda _world, side: {"number": side.run.pk, "part": "steps"}),
    read("runs:run_log", MEMBER, run),
    read("runs:run_log_text", MEMBER, run),
    read("runs:run_stream", MEMBER, run),
    act("runs:run_cancellation", OPERATOR, run),
    act("runs:run_decision", OPERATOR, run),
    # On production a fresh code is asked for by whoever requests it, too (tests/runs/test_second_person.py).
    act("runs:run_consent", FRESH_OPERATOR, run, lambda _world, side: {"typed_name": side.target.name}),
    act("runs:run_objection", OPERATOR, run, reason),
    read("runs:run_lock_waits", MEMBER, run),
    read("runs:run_diagnostics", MEMBER, run),
    read("runs:backups"),
    read("runs:backup_new", KEEPER, target),
    act("runs:backup_uploads", KEEPER, target),
    act("runs:backup_downloads", KEEPER, backup),
]

DEPLOYMENTS = [
    read("checklists:home"),
    read("checklists:home_part", MEMBER, lambda _world, _side: {"name": "runs"}),
    read("checklists:deployments"),
    read("checklists:deployment_new", OPERATOR),
    act("checklists:deployment_new", OPERATOR),
    read("checklists:deployment", MEMBER, deployment),
    read("checklists:deployment_edit", LEADING, deployment),
    act("checklists:deployment_edit", LEADING, deployment),
    read("checklists:deployment_state", MEMBER, deployment),
    read("checklists:deployment_progress", MEMBER, deployment),
    read("checklists:deployment_timeline", MEMBER, deployment),
    read("checklists:phase", MEMBER, lambda _world, side: {"number": side.deployment.pk, "position": 0}),
    act("checklists:launch", LEADING, deployment),
    act("checklists:verification", LEADING, deployment),
    act("checklists:closure", LEADING, deployment),
    act("checklists:cancellation", LEADING, deployment, reason),
    act("checklists:halt", HALTING, deployment, reason),
    undo("checklists:halt", LEADING, deployment),
    act("checklists:rollback", LEADING, deployment, reason),
    act("checklists:rollback_runs", OPERATOR, deployment),
    act("checklists:rollback_completion", LEADING, deployment, reason),
    read("checklists:history"),
    read("checklists:history_csv"),
]

ITEMS = [
    read("checklists:section", MEMBER, section),
    act("checklists:section_completions", TEAM, section),
    read("checklists:item", MEMBER, item),
    act("checklists:item_completion", TEAM, item),
    act("checklists:item_completion", DBA, dba_item),
    undo("checklists:item_completion", TEAM, item),
    act("checklists:item_waiver", TEAM, item, lambda _world, _side: {"reason": "Does not apply here."}),
    undo("checklists:item_waiver", TEAM, item),
    act("checklists:item_proofs", TEAM, item, lambda _world, _side: {"kind": "note", "text": "Seen."}),
    act("checklists:item_runs", OPERATOR, item),
    read("checklists:proof_file", MEMBER, number(lambda side: side.proof)),
]

TEMPLATES = [
    read("checklists:template_list"),
    read("checklists:template_new", OPERATOR),
    act("checklists:template_new", OPERATOR),
    read("checklists:template", MEMBER, lambda world, _side: {"slug": world.version.template.slug}),
    read("checklists:template_version", MEMBER, version),
    act("checklists:template_publication", APPROVER, version),
    read("checklists:template_export", MEMBER, version),
]

GATES = [
    read("signoff:gate", MEMBER, lambda _world, side: {"deployment_id": side.deployment.pk, "key": "pre"}),
    act("signoff:signatures", SLOT, of_deployment, signature),
    read("signoff:fragment", MEMBER, lambda _world, side: {"pk": side.gate.pk}),
    read("signoff:records", MEMBER, lambda _world, side: {"deployment_id": side.deployment.pk}),
    act(
        "signoff:delegations", FRESH_SLOT, lambda _w, side: {"deployment_id": side.deployment.pk}, delegation
    ),
    act("signoff:delegation_revocation", FRESH_NO_SUCH_ROW, lambda _world, _side: {"pk": 10**9}, reason),
    act("signoff:signature_revocation", FRESH_NO_SUCH_ROW, lambda _world, _side: {"pk": 10**9}, reason),
]

EVIDENCE = [
    read("signoff:evidence", MEMBER, lambda _world, side: {"deployment_id": side.deployment.pk}),
    act("signoff:packs", MEMBER, lambda _world, side: {"deployment_id": side.deployment.pk}),
    read("signoff:pack_file", MEMBER, lambda _world, side: {"number": side.pack.pk, "kind": "json"}),
    act("signoff:pack_verification", MEMBER, number(lambda side: side.pack)),
    read("signoff:target_period", MEMBER, target),
    act("signoff:target_period", MEMBER, target),
    read("api:gate", TOKEN, deployment),
]

# Last what changes the session itself.
LEAVING = [
    act("accounts:passkey_registration", NEW_FACTOR),
    read("accounts:new_passkey", NEW_FACTOR),
    act("accounts:new_passkey", NEW_FACTOR),
    read("accounts:factor", NEW_FACTOR),
    act("accounts:factor", NEW_FACTOR),
    read("account_logout", IDENTIFIED),
    act("account_logout", IDENTIFIED),
]

CASES = [
    *SIGNING_IN,
    *ACCOUNT,
    *PEOPLE,
    *TARGETS,
    *RUNS,
    *DEPLOYMENTS,
    *ITEMS,
    *TEMPLATES,
    *GATES,
    *EVIDENCE,
    *LEAVING,
]
