"""Warnings about valid templates that are probably not as intended."""

from __future__ import annotations

from collections.abc import Iterator

from checklists.markdown.model import GateKey, ParsedTemplate


def template_warnings(template: ParsedTemplate) -> tuple[str, ...]:
    """Return warnings for the author; the template can be used anyway."""
    return tuple(_warnings(template))


def _warnings(template: ParsedTemplate) -> Iterator[str]:
    signed = {gate.key for gate in template.gates}
    stages = {section.stage for section in template.sections if section.items}
    if not signed:
        yield (
            "There are no signature lines, so nobody can sign this checklist; add lines such as "
            "`- [ ] Database Administrator: ____ <!-- sign: pre, role: dba -->`."
        )
    for gate in signed:
        if stages.isdisjoint(gate.stages):
            covered = " or ".join(gate.stages)
            yield f"The gate “{gate}” covers no items; set the stage of some items to {covered}."
    if signed and GateKey.PRE not in signed:
        yield "There is no gate before the deployment; add lines with `sign: pre` to require approval."
    if signed and GateKey.POST not in signed:
        yield "There is no gate after the deployment; add lines with `sign: post` to require a sign-off."
    for phase in template.phases:
        if not any(section.blocks for section in phase.sections):
            yield f"The phase “{phase.title}” (line {phase.line}) is empty; add items or remove it."
