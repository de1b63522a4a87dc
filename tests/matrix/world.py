"""Two deployments and everything that an address can name; people of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from checklists.models import Deployment, Item, Proof, TemplateVersion
from deployctl.accounts.models import SignIn, User
from deployctl.accounts.models.sign_in import SecondFactor
from deployctl.accounts.roles import Permission, Role
from deployctl.accounts.testing import enroll, sign_in
from deployctl.audit import Machine
from deployctl.runs.models import Run, Target
from signoff.models import EvidencePack, Gate, Slot
from tests.checklists import factories
from tests.matrix.rules import Kind
from tests.people import person

MACHINE = Machine("test")

KINDS = [
    Kind("anonymous", signed_in=False),
    Kind("disabled", signed_in=False),
    Kind("halfway", factor="owed", permissions=frozenset({"operator"})),
    Kind("recovered", factor="recovered", permissions=frozenset({"operator", "approver"})),
    Kind("without a factor", factor="none"),
    Kind("operator without a factor", factor="none", permissions=frozenset({"operator"})),
    Kind("viewer"),
    Kind("teammate", parts=frozenset({"team"})),
    Kind(
        "signer",
        permissions=frozenset({"approver"}),
        parts=frozenset({"team", "leading", "slot"}),
    ),
    Kind("approver", permissions=frozenset({"approver"})),
    Kind("operator", permissions=frozenset({"operator"})),
    Kind("administrator", permissions=frozenset({"administrator"})),
    Kind("administrator of an hour ago", factor="stale", permissions=frozenset({"administrator"})),
]


@dataclass
class Side:
    """A deployment with one of everything that belongs to it."""

    deployment: Deployment
    target: Target
    item: Item
    dba_item: Item
    proof: Proof
    run: Run
    gate: Gate
    slot: Slot
    pack: EvidencePack


@dataclass
class World:
    """The deployment that is the person's own, and another one."""

    own: Side
    other: Side
    version: TemplateVersion
    somebody: User
    asking: User

    def side(self, *, own: bool) -> Side:
        """One of the two."""
        return self.own if own else self.other


def make(kind: Kind) -> tuple[World, Client]:
    """Everything, and a browser of a person of this kind."""
    asking = person("Asker Kindley", *(Permission(name) for name in sorted(kind.permissions)))
    somebody = person("Sam Body", Permission.OPERATOR, Permission.APPROVER)
    enroll(somebody)
    version = factories.published()
    own = _side("shop", version, _team(kind, asking, somebody))
    other = _side("depot", version, [(somebody, Role.DBA)])
    return World(own, other, version, somebody, asking), _browser(kind, asking)


def _team(kind: Kind, asking: User, somebody: User) -> list[tuple[User, str]]:
    team: list[tuple[User, str]] = [(somebody, Role.DBA)]
    if "leading" in kind.parts:
        team.append((asking, Role.DEVOPS_LEAD))
    elif "team" in kind.parts:
        team.append((asking, Role.QA_LEAD))
    return team


def _side(name: str, version: TemplateVersion, team: list[tuple[User, str]]) -> Side:
    target = factories.a_target(name, environment="staging")
    target.set_secret_reference("EXTRA", "env:DATABASE_URL", by=MACHINE)
    target.assign(team[0][0], Role.DBA, by=MACHINE)
    deployment = factories.plan(target, version, team)
    item = factories.item(deployment, "Anybody")
    proof = item.add_proof(MACHINE, "file", file=SimpleUploadedFile("a.txt", b"text"))
    gate = Gate.objects.get(deployment=deployment, key="pre")
    return Side(
        deployment=deployment,
        target=target,
        item=item,
        dba_item=factories.item(deployment, "Server"),
        proof=proof,
        run=Run.request(target=target, kind="connect", params={}, by=MACHINE),
        gate=gate,
        slot=Slot.objects.get(gate=gate, role=Role.DEVOPS_LEAD),
        pack=EvidencePack.export(deployment, MACHINE),
    )


def _browser(kind: Kind, asking: User) -> Client:
    client = Client()
    if kind.name == "anonymous":
        return client
    stay = sign_in(
        client, asking, code=kind.factor in {"given", "stale"}, second_factor=kind.factor != "none"
    )
    if kind.name == "disabled":
        asking.disable(by=MACHINE)
    _age(kind, stay, client)
    return client


def _age(kind: Kind, stay: SignIn, client: Client) -> None:
    from django_otp import DEVICE_ID_SESSION_KEY

    stays = SignIn.objects.filter(pk=stay.pk)
    if kind.factor == "stale":
        stays.update(code_given_at=timezone.now() - timedelta(hours=1))
    elif kind.factor in {"owed", "recovered"}:
        session: Any = client.session
        session.pop(DEVICE_ID_SESSION_KEY, None)
        session.save()
        if kind.factor == "recovered":
            stays.update(second_factor=SecondFactor.RECOVERY_CODE)
