"""Any two records of a deployment side by side: as somebody signed it, or as it is now."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import QueryDict
from django.utils import timezone

from checklists.models import Deployment
from deployctl.web.http import row_number
from signoff import differences
from signoff import record as records
from signoff.models import Gate, Signature

NOW = "now-"


@dataclass(frozen=True)
class Choice:
    """A record that can be chosen: its key in addresses, and its words."""

    key: str
    label: str


@dataclass(frozen=True)
class Comparison:
    """Two records, and what differs between them."""

    choices: list[Choice]
    then: str
    now: str
    then_digest: str
    now_digest: str
    changes: list[differences.Difference]


def compare(deployment: Deployment, asked: QueryDict) -> Comparison:
    """The comparison that an address asks for; without a choice, the newest signature with what is now.

    Args:
        asked: `then` and `now`, each the number of a signature or `now-` with a gate's key.
    """
    signatures = list(
        Signature.objects.filter(slot__gate__deployment=deployment)
        .for_pages()
        .select_related("slot__gate")
        .order_by("-pk")
    )
    gates = list(deployment.gates.order_by("position"))
    choices = [Choice(f"{NOW}{gate.key}", f"As it is now: {gate.title}") for gate in gates]
    choices += [Choice(str(signature.pk), _label(signature)) for signature in signatures]
    keys = [choice.key for choice in choices]
    then, now = asked.get("then", ""), asked.get("now", "")
    if then not in keys:
        then = str(signatures[0].pk) if signatures else keys[0]
    if now not in keys:
        key = next((each.slot.gate.key for each in signatures if str(each.pk) == then), gates[0].key)
        now = f"{NOW}{key}"
    before, after = _record(deployment, then, gates), _record(deployment, now, gates)
    return Comparison(
        choices=choices,
        then=then,
        now=now,
        then_digest=records.digest(before),
        now_digest=records.digest(after),
        changes=differences.between(before, after),
    )


def _record(deployment: Deployment, key: str, gates: list[Gate]) -> records.Json:
    for gate in gates:
        if key == f"{NOW}{gate.key}":
            gate.deployment = deployment
            return gate.record()
    signed = Signature.objects.filter(slot__gate__deployment=deployment).get(pk=row_number(key))
    record: records.Json = signed.record
    return record


def _label(signature: Signature) -> str:
    at = timezone.localtime(signature.signed_at)
    told = f"{signature.slot.gate.title}: {signature.names}, {signature.slot.label}, {at:%-d %b %Y %H:%M}"
    if signature.stands:
        return told
    return f"{told} ({'withdrawn' if signature.is_withdrawn else 'no longer stands'})"
