"""Create two deployments with every object that a URL can name, and people of every kind."""

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
    Kind("password only", factor="owed", permissions=frozenset({"operator"})),
    Kind("recovered", factor="recovered", permissions=frozenset({"operator", "approver"})),
    Kind("without a factor", factor="none"),
    Kind("operator without a factor", factor="none", permissions=frozenset({"operator"})),
    Kind("viewer"),
    Kind("teammate", roles=frozenset({"team"})),
    Kind(
        "signer",
        permissions=frozenset({"approver"}),
        roles=frozenset({"team", "lead", "slot"}),
    ),
    Kind("approver", permissions=frozenset({"approver"})),
    Kind("operator", permissions=frozenset({"operator"})),
    Kind("administrator", permissions=frozenset({"administrator"})),
    Kind("administrator with an old code", factor="stale", permissions=frozenset({"administrator"})),
]


@dataclass
class Side:
    """A deployment with one object of every kind that belongs to it."""

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
    """The person's own deployment and another one.

    Attributes:
        colleague: another person, a Database Administrator of both deployments.
        asker: the person who sends the requests.
    """

    own: Side
    other: Side
    version: TemplateVersion
    colleague: User
    asker: User

    def side(self, *, own: bool) -> Side:
        """Return the own or the other deployment."""
        return self.own if own else self.other


def make(kind: Kind) -> tuple[World, Client]:
    """Create the world for a kind of person and return it with the person's client."""
    asker = person("Asker Kindley", *(Permission(name) for name in sorted(kind.permissions)))
    colleague = person("Sam Body", Permission.OPERATOR, Permission.APPROVER)
    enroll(colleague)
    version = factories.published()
    own = _side("shop", version, _team(kind, asker, colleague))
    other = _side("depot", version, [(colleague, Role.DBA)])
    return World(own, other, version, colleague, asker), _browser(kind, asker)


def _team(kind: Kind, asker: User, colleague: User) -> list[tuple[User, str]]:
    team: list[tuple[User, str]] = [(colleague, Role.DBA)]
    if "lead" in kind.roles:
        team.append((asker, Role.DEVOPS_LEAD))
    elif "team" in kind.roles:
        team.append((asker, Role.QA_LEAD))
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


def _browser(kind: Kind, asker: User) -> Client:
    client = Client()
    if kind.name == "anonymous":
        return client
    stay = sign_in(client, asker, code=kind.factor in {"given", "stale"}, second_factor=kind.factor != "none")
    if kind.name == "disabled":
        asker.disable(by=MACHINE)
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
