"""Parse a template."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from checklists.markdown.contacts import contacts_of, severities_of
from checklists.markdown.decoding import MAX_BYTES, check_characters, decode, normalize_spaces
from checklists.markdown.document import TooLong, blocks
from checklists.markdown.errors import Collector, Problem, TemplateErrors
from checklists.markdown.headings import Scope, scope_of
from checklists.markdown.items import Reader
from checklists.markdown.model import (
    NO_RULES,
    Block,
    ParsedCommands,
    ParsedItem,
    ParsedNote,
    ParsedPhase,
    ParsedSection,
    ParsedSlot,
    ParsedTemplate,
    Stage,
)
from checklists.markdown.outline import Chapter, Part, outline
from checklists.markdown.slugs import Keys
from checklists.markdown.vocabulary import Vocabulary

MAX_ITEMS = 2000  # more than people can handle; each item becomes rows in every deployment


def parse(
    source: str,
    *,
    filename: str = "",
    operations: Collection[str] = (),
    checks: Collection[str] = (),
) -> ParsedTemplate:
    """Parse a checklist written in Markdown.

    Args:
        source: the whole document, at most 1 MiB.
        filename: the file name for messages, and the title if the document has none.
        operations: the operations that annotations may name; in a mapping, the values are the names of their
            parameters.
        checks: the same for checks.

    Raises:
        TemplateErrors: the template is invalid; the error lists all problems with their lines.
    """
    if len(source) > MAX_BYTES:  # encoding is needed only if the number of characters is this large
        decode(source[: MAX_BYTES + 1].encode("utf-8", "replace"), filename=filename)
    check_characters(source, filename=filename)
    problems = Collector(filename)
    parser = _Parser(Vocabulary(operations, checks), problems)
    template = parser.template(normalize_spaces(source.removeprefix("\ufeff")), filename)
    problems.raise_if_any()
    return template


class _Parser:
    def __init__(self, vocabulary: Vocabulary, problems: Collector) -> None:
        self.vocabulary = vocabulary
        self.problems = problems
        self.item_keys = Keys()
        self.heading_keys = Keys()

    def template(self, source: str, filename: str) -> ParsedTemplate:
        try:
            nodes = blocks(source)
        except TooLong as error:
            raise TemplateErrors([Problem(error.line, str(error), filename)]) from None
        document = outline(nodes, filename=filename, problems=self.problems)
        preface = self._reader(("",), Scope(stage=Stage.REFERENCE)).read(document.preface)
        phases = tuple(self._phase(chapter) for chapter in document.chapters)
        template = ParsedTemplate(
            title=document.title,
            phases=phases,
            notes=tuple(block for block in preface if isinstance(block, ParsedNote | ParsedCommands)),
            contacts=contacts_of(phases),
            severities=severities_of(phases),
        )
        count = sum(1 for _ in template.walk_items())
        if count > MAX_ITEMS:
            self.problems.add(
                0, f"There are {count} items, but the maximum is {MAX_ITEMS}; split the checklist."
            )
        if not template.slots and not count:
            self.problems.add(
                0,
                "This template has no items; write each item on its own line as `- [ ] text`.",
            )
        return template

    def _phase(self, chapter: Chapter) -> ParsedPhase:
        head = chapter.head
        has_items = any(part.has_items for part in chapter.sections)
        scope = self._scope(head, None, has_items=has_items)
        sections = [section for part in chapter.sections for section in self._sections(head, part, scope)]
        if scope.gate and not any(section.slots for section in sections):
            self._report_empty_gate(head)
        return ParsedPhase(
            key=self.heading_keys.take(head.title),
            title=head.title,
            stage=scope.stage,
            due=scope.due,
            role=scope.role,
            routine=scope.routine,
            gate=scope.gate,
            rules=scope.rules,
            sections=tuple(sections),
            line=head.line,
        )

    def _sections(self, phase: Part, part: Part, outer: Scope) -> Iterator[ParsedSection]:
        """Yield the section of a heading, split into parts if its items have different stages."""
        scope = self._scope(part, outer, has_items=part.has_items) if part.title else outer
        reader = self._reader((phase.title, part.title) if part.title else (phase.title,), scope)
        blocks = reader.read(part.nodes)
        gate = scope.gate if part.title else None
        if gate and not any(isinstance(block, ParsedSlot) for block in blocks):
            self._report_empty_gate(part)
        for number, (stage, stage_blocks) in enumerate(_by_stage(blocks, scope.stage)):
            if not (part.title or stage_blocks):
                continue  # there is nothing directly below the phase's heading
            section = ParsedSection(
                key=self.heading_keys.take(phase.title, part.title),
                title=part.title,
                stage=stage,
                due=scope.due,
                role=scope.role,
                routine=scope.routine if stage is Stage.ONGOING else None,
                gate=None if number else gate,
                rules=NO_RULES if number or not gate else scope.rules,
                continued=number > 0,
                blocks=stage_blocks,
                line=part.line,
            )
            self._check_frequency(phase, part, section)
            yield section

    def _check_frequency(self, phase: Part, part: Part, section: ParsedSection) -> None:
        if section.items and section.stage is Stage.ONGOING and not section.routine:
            self.problems.add(
                part.line,
                f"“{part.title or phase.title}” is recurring but has no frequency; add `routine: daily` "
                "(or weekly, monthly, quarterly) to the heading.",
            )

    def _scope(self, part: Part, parent: Scope | None, *, has_items: bool) -> Scope:
        return scope_of(
            part.title,
            part.annotations,
            parent,
            has_items=has_items,
            line=part.line,
            vocabulary=self.vocabulary,
            problems=self.problems,
        )

    def _reader(self, path: tuple[str, ...], scope: Scope) -> Reader:
        return Reader(path, scope, self.vocabulary, self.item_keys, self.problems)

    def _report_empty_gate(self, part: Part) -> None:
        self.problems.add(
            part.line,
            f"The gate “{part.title}” has no signature lines; "
            "add one such as `- [ ] Database Administrator: ____ <!-- sign: pre, role: dba -->`.",
        )


def _by_stage(blocks: Sequence[Block], stage: Stage) -> list[tuple[Stage, tuple[Block, ...]]]:
    """Split a section before each item whose stage differs from that of the preceding blocks."""
    parts: list[tuple[Stage, list[Block]]] = [(stage, [])]
    for block in blocks:
        if isinstance(block, ParsedItem) and block.stage != parts[-1][0]:
            parts.append((block.stage, []))
        parts[-1][1].append(block)
    return [(stage, tuple(grouped)) for stage, grouped in parts]
