"""What is allowed in a template but perhaps not meant."""

from __future__ import annotations

from collections.abc import Iterator

from checklists.markdown.model import GateKey, ParsedTemplate


def template_warnings(template: ParsedTemplate) -> tuple[str, ...]:
    """Sentences for the author; none of them keeps the template from being used."""
    return tuple(_remarks(template))


def _remarks(template: ParsedTemplate) -> Iterator[str]:
    signed = {gate.key for gate in template.gates}
    stages = {section.stage for section in template.sections if section.items}
    if not signed:
        yield (
            "There are no signature lines, so nobody signs this checklist; add lines such as "
            "`- [ ] Database Administrator: ____ <!-- sign: pre, role: dba -->`."
        )
    for gate in signed:
        if stages.isdisjoint(gate.stages):
            covered = " or ".join(gate.stages)
            yield f"The gate “{gate}” covers no items: none is in the stage {covered}."
    if signed and GateKey.PRE not in signed:
        yield "Nobody signs before the deployment; add lines with `sign: pre` if it must be approved."
    if signed and GateKey.POST not in signed:
        yield "Nobody signs after the deployment; add lines with `sign: post` if it must be accepted."
    for phase in template.phases:
        if not any(section.blocks for section in phase.sections):
            yield f"There is nothing below “{phase.title}” (line {phase.line})."
