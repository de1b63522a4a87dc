"""Every URL with every method that it accepts, and who has access."""

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
    ENROLLED_TEAM,
    FRESH_ADMINISTRATOR,
    FRESH_ENROLLED,
    FRESH_OPERATOR,
    IDENTIFIED,
    LEAD,
    MEMBER,
    OPERATOR,
    PUBLIC,
    SLOT,
    TARGET_DBA,
    TEAM,
    TOKEN,
    Rule,
)
from tests.matrix.world import Side, World
from tests.people import PASSWORD

Values = Callable[[World, Side], dict[str, Any]]


def no_values(_world: World, _side: Side) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Case:
    """A request.

    Args:
        name: of the URL pattern.
        method: GET, POST or DELETE.
        rule: who has access.
        kwargs: arguments of the URL pattern.
        body: form data to post.
    """

    name: str
    method: str
    rule: Rule
    kwargs: Values = no_values
    body: Values = field(default=no_values)

    def __str__(self) -> str:
        return f"{self.method} {self.name}"


def number(which: Callable[[Side], Any]) -> Values:
    """Return URL arguments that name a row by its number."""
    return lambda _world, side: {"number": which(side).pk}


deployment = number(lambda side: side.deployment)
item = number(lambda side: side.item)
dba_item = number(lambda side: side.dba_item)
run = number(lambda side: side.run)


def section(_world: World, side: Side) -> dict[str, Any]:
    return {"number": side.item.section_id}


def target(_world: World, side: Side) -> dict[str, Any]:
    return {"name": side.target.name}


def target_role(_world: World, side: Side) -> dict[str, Any]:
    return {"name": side.target.name, "number": side.target.role_assignments.get().pk}


def person_role(world: World, side: Side) -> dict[str, Any]:
    return {"number": world.colleague.pk, "role": side.target.role_assignments.get(user=world.colleague).pk}


def secret(_world: World, side: Side) -> dict[str, Any]:
    return {"name": side.target.name, "secret": "EXTRA"}


def backup(_world: World, side: Side) -> dict[str, Any]:
    """Create a backup without files. Users with access get an error message about this."""
    created = Backup.objects.create(
        target=side.target,
        run=side.run,
        name=f"{side.target.name}-1",
        size_bytes=1,
        files=1,
        snapshot_at=timezone.now(),
    )
    return {"name": created.name}


def colleague(world: World, _side: Side) -> dict[str, Any]:
    return {"number": world.colleague.pk}


def version(world: World, _side: Side) -> dict[str, Any]:
    return {"slug": world.version.template.slug, "number": world.version.number}


def token(world: World, _side: Side) -> dict[str, Any]:
    """Create an API token of another person."""
    created, _ = ApiToken.objects.issue(by=world.colleague, name="CI", scopes=["gate:pre"], days=1)
    return {"number": created.pk}


def session_of_somebody(world: World, _side: Side) -> dict[str, Any]:
    """Create a session of another person."""
    from django.http import HttpRequest
    from django.test import Client

    request = HttpRequest()
    request.session = Client().session
    return {"number": SignIn.objects.begin(request, world.colleague).pk}


def signature(world: World, side: Side) -> dict[str, Any]:
    """Return the form data of a signature."""
    from deployctl.accounts.models import TotpFactor

    asker_has_factor = TotpFactor.objects.filter(user=world.asker, confirmed=True).exists()
    return {
        "slot": side.slot.pk,
        "digest": records.digest(side.gate.record()),
        "password": PASSWORD,
        "code": current_code(world.asker) if asker_has_factor else "000000",
        "meaning": "on",
    }


def delegation(world: World, side: Side) -> dict[str, Any]:
    """Return the form data of a delegation."""
    until = timezone.localtime() + timedelta(days=1)
    return {"slot": side.slot.pk, "to": world.colleague.pk, "until": f"{until:%Y-%m-%dT%H:%M}"}


def of_deployment(_world: World, side: Side) -> dict[str, Any]:
    return {"deployment_id": side.deployment.pk}


FRESH_SLOT = replace(SLOT, fresh=True)
FRESH_NO_SUCH_ROW = replace(FRESH_ENROLLED, not_found=True)
NEW_FACTOR = Rule(fresh=True)
SECOND_STEP = Rule(leads_to_sign_in=True)
OWN_SESSION_ONLY = Rule(not_found=True)
OWN_PASSKEY_ONLY = Rule(enrolled=True, fresh=True, not_found=True)
CODE_PAGE = Rule(leads_to_code=True)


def reason(_world: World, _side: Side) -> dict[str, Any]:
    return {"reason": "It is necessary."}


def reset_key(_world: World, _side: Side) -> dict[str, Any]:
    return {"uidb36": "1", "key": "set-password"}


def get(name: str, rule: Rule = MEMBER, kwargs: Values = no_values) -> Case:
    """Return a GET request for a page, a fragment, a stream or a download."""
    return Case(name, "GET", rule, kwargs)


def post(name: str, rule: Rule, kwargs: Values = no_values, body: Values = no_values) -> Case:
    """Return a POST request, which changes something."""
    return Case(name, "POST", rule, kwargs, body)


def delete(name: str, rule: Rule, kwargs: Values = no_values) -> Case:
    """Return a DELETE request, which reverts or removes something."""
    return Case(name, "DELETE", rule, kwargs)


SIGNING_IN = [
    *(
        case
        for name in ("account_login", "account_reset_password", "account_signup")
        for case in (get(name, PUBLIC), post(name, PUBLIC))
    ),
    # The step between password and code. People who have not entered a password are redirected to sign-in.
    get("accounts:sign_in_code", SECOND_STEP),
    post("accounts:sign_in_code", SECOND_STEP),
    post("accounts:sign_in_passkey", SECOND_STEP),
    post("accounts:single_sign_on", PUBLIC),
    get("openid_connect_callback", PUBLIC, lambda _world, _side: {"provider_id": "sso"}),
    get("account_inactive", PUBLIC),
    get("account_reset_password_done", PUBLIC),
    get("account_reset_password_from_key_done", PUBLIC),
    get("account_reset_password_from_key", PUBLIC, reset_key),
    post("account_reset_password_from_key", PUBLIC, reset_key),
]

ACCOUNT = [
    get("account_change_password"),
    post("account_change_password", MEMBER),
    get("accounts:account"),
    post("accounts:account", MEMBER),
    get("accounts:step_up", CODE_PAGE),
    post("accounts:step_up", CODE_PAGE),
    post("accounts:reauthentication", IDENTIFIED),
    post("accounts:passkey_challenge", IDENTIFIED),
    post("accounts:recovery_codes", FRESH_ENROLLED),
    delete("accounts:passkey", OWN_PASSKEY_ONLY, colleague),
    delete("accounts:other_sessions", MEMBER),
    delete("accounts:session", OWN_SESSION_ONLY, session_of_somebody),
]

PEOPLE = [
    get("accounts:people", ADMINISTRATOR),
    get("accounts:new_person", FRESH_ADMINISTRATOR),
    post("accounts:new_person", FRESH_ADMINISTRATOR),
    get("accounts:person", ADMINISTRATOR, colleague),
    post("accounts:person", ADMINISTRATOR, colleague),
    post("accounts:permissions", FRESH_ADMINISTRATOR, colleague),
    post("accounts:suspension", FRESH_ADMINISTRATOR, colleague),
    delete("accounts:suspension", FRESH_ADMINISTRATOR, colleague),
    post("accounts:invitation", FRESH_ADMINISTRATOR, colleague),
    delete("accounts:invitation", FRESH_ADMINISTRATOR, colleague),
    post("accounts:temporary_password", FRESH_ADMINISTRATOR, colleague),
    delete("accounts:person_sessions", FRESH_ADMINISTRATOR, colleague),
    delete("accounts:person_sso_link", FRESH_ADMINISTRATOR, colleague),
    get("runs:person_roles", FRESH_ADMINISTRATOR, colleague),
    post("runs:person_roles", FRESH_ADMINISTRATOR, colleague),
    delete("runs:person_role", FRESH_ADMINISTRATOR, person_role),
    delete("accounts:person_factor", FRESH_ADMINISTRATOR, colleague),
    get("accounts:tokens", ADMINISTRATOR),
    get("accounts:new_token", FRESH_ADMINISTRATOR),
    post("accounts:new_token", FRESH_ADMINISTRATOR),
    delete("accounts:token", FRESH_ADMINISTRATOR, token),
    get("audit:entries", APPROVER),
    get("audit:export", APPROVER),
    post("audit:verification", APPROVER),
]

TARGETS = [
    get("runs:live"),
    get("runs:targets"),
    get("runs:target_new", ADMINISTRATOR),
    post("runs:target_new", ADMINISTRATOR),
    get("runs:target", MEMBER, target),
    get("runs:target_recent", MEMBER, target),
    get("runs:target_settings", ADMINISTRATOR, target),
    post("runs:target_settings", ADMINISTRATOR, target),
    post("runs:target_roles", ADMINISTRATOR, target),
    delete("runs:target_role", ADMINISTRATOR, target_role),
    post("runs:target_secrets", ADMINISTRATOR, target),
    delete("runs:target_secret", ADMINISTRATOR, secret),
    post("runs:target_stored_secrets", ADMINISTRATOR, target),
    post("runs:target_physical_engine", ADMINISTRATOR, target),
    delete("runs:target_physical_engine", ADMINISTRATOR, target),
    get("runs:retention", MEMBER, target),
    post("runs:retention_policy", ADMINISTRATOR, target),
    post("runs:target_archival", ADMINISTRATOR, target),
    post("runs:target_connection", OPERATOR, target),
    post("runs:target_runs", OPERATOR, target),
    get("runs:target_backups", MEMBER, target),
]

RUNS = [
    get("runs:runs"),
    get("runs:run", MEMBER, run),
    get("runs:run_part", MEMBER, lambda _world, side: {"number": side.run.pk, "part": "steps"}),
    get("runs:run_log", MEMBER, run),
    get("runs:run_log_text", MEMBER, run),
    get("runs:run_stream", MEMBER, run),
    post("runs:run_cancellation", OPERATOR, run),
    post("runs:run_decision", OPERATOR, run),
    # On production, the requester has to enter a fresh code, too (tests/runs/test_second_person.py).
    post("runs:run_consent", FRESH_OPERATOR, run, lambda _world, side: {"typed_name": side.target.name}),
    post("runs:run_objection", OPERATOR, run, reason),
    get("runs:run_lock_waits", MEMBER, run),
    get("runs:run_diagnostics", MEMBER, run),
    get("runs:backups"),
    get("runs:backup_new", TARGET_DBA, target),
    post("runs:backup_uploads", TARGET_DBA, target),
    post("runs:backup_downloads", TARGET_DBA, backup),
]

DEPLOYMENTS = [
    get("checklists:home"),
    get("checklists:home_fragment", MEMBER, lambda _world, _side: {"name": "runs"}),
    get("checklists:deployments"),
    get("checklists:deployment_new", OPERATOR),
    post("checklists:deployment_new", OPERATOR),
    get("checklists:deployment", MEMBER, deployment),
    get("checklists:deployment_edit", LEAD, deployment),
    post("checklists:deployment_edit", LEAD, deployment),
    get("checklists:deployment_state", MEMBER, deployment),
    get("checklists:deployment_progress", MEMBER, deployment),
    get("checklists:deployment_timeline", MEMBER, deployment),
    get("checklists:phase", MEMBER, lambda _world, side: {"number": side.deployment.pk, "position": 0}),
    post("checklists:start", LEAD, deployment),
    post("checklists:verification", LEAD, deployment),
    post("checklists:closure", LEAD, deployment),
    post("checklists:cancellation", LEAD, deployment, reason),
    post("checklists:halt", ENROLLED_TEAM, deployment, reason),
    delete("checklists:halt", LEAD, deployment),
    post("checklists:rollback", LEAD, deployment, reason),
    post("checklists:rollback_runs", OPERATOR, deployment),
    post("checklists:rollback_completion", LEAD, deployment, reason),
    get("checklists:history"),
    get("checklists:history_csv"),
]

ITEMS = [
    get("checklists:section", MEMBER, section),
    post("checklists:section_completions", TEAM, section),
    get("checklists:item", MEMBER, item),
    post("checklists:item_completion", TEAM, item),
    post("checklists:item_completion", DBA, dba_item),
    delete("checklists:item_completion", TEAM, item),
    post("checklists:item_waiver", TEAM, item, lambda _world, _side: {"reason": "Does not apply here."}),
    delete("checklists:item_waiver", TEAM, item),
    post("checklists:item_proofs", TEAM, item, lambda _world, _side: {"kind": "note", "text": "Seen."}),
    post("checklists:item_runs", OPERATOR, item),
    get("checklists:proof_file", MEMBER, number(lambda side: side.proof)),
]

TEMPLATES = [
    get("checklists:template_list"),
    get("checklists:template_new", OPERATOR),
    post("checklists:template_new", OPERATOR),
    get("checklists:template", MEMBER, lambda world, _side: {"slug": world.version.template.slug}),
    get("checklists:template_version", MEMBER, version),
    post("checklists:template_publication", APPROVER, version),
    get("checklists:template_export", MEMBER, version),
]

GATES = [
    get("signoff:gate", MEMBER, lambda _world, side: {"deployment_id": side.deployment.pk, "key": "pre"}),
    post("signoff:signatures", SLOT, of_deployment, signature),
    get("signoff:fragment", MEMBER, lambda _world, side: {"pk": side.gate.pk}),
    get("signoff:records", MEMBER, lambda _world, side: {"deployment_id": side.deployment.pk}),
    post(
        "signoff:delegations", FRESH_SLOT, lambda _w, side: {"deployment_id": side.deployment.pk}, delegation
    ),
    post("signoff:delegation_revocation", FRESH_NO_SUCH_ROW, lambda _world, _side: {"pk": 10**9}, reason),
    post("signoff:signature_revocation", FRESH_NO_SUCH_ROW, lambda _world, _side: {"pk": 10**9}, reason),
]

EVIDENCE = [
    get("signoff:evidence", MEMBER, lambda _world, side: {"deployment_id": side.deployment.pk}),
    post("signoff:packs", MEMBER, lambda _world, side: {"deployment_id": side.deployment.pk}),
    get("signoff:pack_file", MEMBER, lambda _world, side: {"number": side.pack.pk, "kind": "json"}),
    post("signoff:pack_verification", MEMBER, number(lambda side: side.pack)),
    get("signoff:target_period", MEMBER, target),
    post("signoff:target_period", MEMBER, target),
    get("api:gate", TOKEN, deployment),
]

# Last, because these change the session itself.
SESSION_CHANGES = [
    post("accounts:passkey_registration", NEW_FACTOR),
    get("accounts:new_passkey", NEW_FACTOR),
    post("accounts:new_passkey", NEW_FACTOR),
    get("accounts:factor", NEW_FACTOR),
    post("accounts:factor", NEW_FACTOR),
    get("account_logout", IDENTIFIED),
    post("account_logout", IDENTIFIED),
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
    *SESSION_CHANGES,
]
