"""Read the blocks below a heading: items, sub-items, signature lines, commands and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from checklists.markdown import annotation
from checklists.markdown.annotation import ITEM_KEYS, Value, suggestion, unknown_key
from checklists.markdown.document import (
    Node,
    contains_task,
    looks_like_item,
    one_line,
    strip_markup,
    task_text,
    text_after_box,
)
from checklists.markdown.errors import Collector
from checklists.markdown.gates import SLOT_KEYS, label_of, read_quorum
from checklists.markdown.headings import Scope, read_choice, read_due, read_role
from checklists.markdown.model import (
    Block,
    GateKey,
    ItemKind,
    ParsedCommands,
    ParsedItem,
    ParsedNote,
    ParsedSlot,
    Stage,
)
from checklists.markdown.notes import commands, note
from checklists.markdown.slugs import Keys
from checklists.markdown.vocabulary import Vocabulary

MAX_DEPTH = 5


@dataclass(frozen=True)
class Reader:
    """A reader of the blocks below one heading.

    `path` holds the titles of phase and section, with which the keys of the items begin.
    """

    path: tuple[str, ...]
    scope: Scope
    vocabulary: Vocabulary
    keys: Keys
    problems: Collector
    depth: int = 1

    def read(self, nodes: Sequence[Node]) -> tuple[Block, ...]:
        """Return the items, slots, commands and notes in `nodes`, in the order of the document."""
        found: list[Block] = []
        for node in nodes:
            if node.type in {"bullet_list", "ordered_list"} and contains_task(node):
                found += self._list(node)
            elif node.type == "blockquote" and contains_task(node):
                found += self.read(node.children)
            elif node.type not in {"hr", "front_matter"}:
                found += self._other(node)
        return tuple(found)

    def _list(self, node: Node) -> list[Block]:
        """Read a list with items; entries without a checkbox are notes, unless they contain items."""
        found: list[Block] = []
        plain: list[Node] = []
        for entry in node.children:
            if not contains_task(entry):
                plain.append(entry)
                continue
            found += self._plain_entries(plain)
            plain = []
            found += self._entry(entry)
        return found + self._plain_entries(plain)

    def _plain_entries(self, entries: Sequence[Node]) -> list[Block]:
        if not entries:
            return []
        self._check_text(entries)
        return [note(entries, entries[0].line)]

    def _entry(self, entry: Node) -> Sequence[Block]:
        if entry.children[0].type != "paragraph":
            return self.read(entry.children)  # "- - [ ] text": the outer list has no text
        head, *rest = entry.children
        line = head.line
        self._report_lost_items(head.text.split("\n")[1:], line + 1)
        text, values = annotation.split(head.inline or head.token, line, self.problems)
        if task_text(entry) is not None:
            text = text_after_box(text) or ""
        if not text:
            self.problems.add(line, "This item has no text; write the task after the checkbox.")
            return ()
        if "sign" in values:
            return self._slot(text, values, rest, line)
        return [self._item(text, values, rest, line)]

    def _item(self, text: str, values: Mapping[str, Value], rest: Sequence[Node], line: int) -> ParsedItem:
        if "quorum" in values:
            self.problems.add(line, "“quorum” is for signature lines; put it next to `sign` and `role`.")
        kind, name, params = self._automation(values, line)
        key = self.keys.take(*self.path, strip_markup(text))
        scope = replace(
            self.scope,
            stage=self._stage(values, line),
            role=read_role(values, line, self.vocabulary, self.problems) or self.scope.role,
            due=read_due(values, line, self.problems, self.scope.due),
        )
        if "due" in values and scope.stage is Stage.ONGOING:
            self.problems.add(line, "A recurring item can't have a due time; remove `due`.")
        below = replace(self, scope=scope, depth=self.depth + 1).read(rest)
        children = tuple(block for block in below if isinstance(block, ParsedItem))
        self._check_children(kind, name, children, line)
        return ParsedItem(
            key=key,
            text=text,
            stage=scope.stage,
            line=line,
            kind=kind,
            operation=name if kind is ItemKind.OPERATION else "",
            check=name if kind is ItemKind.CHECK else "",
            params=params,
            role=scope.role,
            due=scope.due,
            evidence=self._flag(values, "evidence", line),
            notes=tuple(block for block in below if isinstance(block, ParsedNote | ParsedCommands)),
            children=children,
        )

    def _stage(self, values: Mapping[str, Value], line: int) -> Stage:
        stage = read_choice(Stage, values, "stage", line, self.problems)
        if stage and self.depth > 1:
            self.problems.add(line, "A sub-item has its parent's stage; move `stage` to the parent.")
        if stage is Stage.ONGOING and self.scope.stage is not Stage.ONGOING:
            self.problems.add(line, "A recurring item must be below a heading with `routine`; move it there.")
        return stage or self.scope.stage

    def _slot(self, text: str, values: Mapping[str, Value], rest: Sequence[Node], line: int) -> list[Block]:
        for key in values.keys() - set(SLOT_KEYS):
            self.problems.add(line, f"A signature line has only `sign`, `role` and `quorum`; remove “{key}”.")
        gate, role = str(values["sign"]), read_role(values, line, self.vocabulary, self.problems)
        if gate not in list(GateKey):
            self.problems.add(line, f"There is no gate “{gate}”; {suggestion(gate, list(GateKey))}")
            return []
        if "role" not in values:
            self.problems.add(
                line,
                "A signature line needs a role; add one, as in `sign: pre, role: dba`. "
                f"Roles: {', '.join(self.vocabulary.roles)}.",
            )
            return []
        if self.scope.gate and self.scope.gate != gate:
            self.problems.add(
                line,
                f"This line signs the gate “{gate}” but is below the gate “{self.scope.gate}”; change one.",
            )
        if rest or self.depth > 1:
            self.problems.add(
                line,
                "A signature line can't be a sub-item or have content below it; move it to the top level.",
            )
        quorum = read_quorum(values, line, self.problems)
        return [ParsedSlot(GateKey(gate), role, label_of(text, role), quorum, line)]

    def _automation(self, values: Mapping[str, Value], line: int) -> tuple[ItemKind, str, dict[str, Value]]:
        """Return the item's kind, the name of its operation or check, and the parameters."""
        extra = {key: value for key, value in values.items() if key not in ITEM_KEYS}
        given = [kind for kind in (ItemKind.OPERATION, ItemKind.CHECK) if kind in values]
        if not given:
            for key in extra:
                self.problems.add(line, unknown_key(key, ITEM_KEYS, "items"))
            return ItemKind.MANUAL, "", {}
        if len(given) > 1:
            self.problems.add(line, "An item can't have both an operation and a check; remove one.")
        kind, name = given[0], str(values[given[0]])
        known = self.vocabulary.operations if kind is ItemKind.OPERATION else self.vocabulary.checks
        if name not in known:
            self.problems.add(line, f"There is no {kind} “{name}”; {suggestion(name, sorted(known))}")
            return kind, name, extra
        self._check_params(kind, name, extra, line)
        return kind, name, extra

    def _check_params(self, kind: ItemKind, name: str, params: Mapping[str, Value], line: int) -> None:
        allowed = self.vocabulary.params_of(kind, name)
        for key in params:
            if allowed is not None and key not in allowed:
                known = (*ITEM_KEYS, *allowed)
                self.problems.add(line, f"“{key}” isn't a parameter of {name}; {suggestion(key, known)}")

    def _check_children(self, kind: ItemKind, name: str, children: Sequence[ParsedItem], line: int) -> None:
        if children and kind is not ItemKind.MANUAL:
            self.problems.add(
                line,
                f"An item with sub-items can't have its own {kind}; move “{kind}: {name}” to a sub-item.",
            )
        if children and self.depth >= MAX_DEPTH:
            self.problems.add(line, f"Items can be nested at most {MAX_DEPTH} deep; use a section instead.")

    def _other(self, node: Node) -> list[Block]:
        if node.type == "html_block" and node.token.content.lstrip().startswith("<!--"):
            if "-->" not in node.token.content:
                self.problems.add(node.line, "A comment begins with <!-- but isn't closed; end it with -->.")
                return []
            if annotation.is_comment(node.token.content, node.type):
                self._report_stray_annotation(node.token.content, node.line)
                return []
        if node.type == "fence":
            return [commands(node)]
        if node.type == "code_block":
            self._report_lost_items(node.token.content.split("\n"), node.line)
            return [commands(node)]
        self._check_text([node])
        return [note([node], node.line)]

    def _check_text(self, nodes: Sequence[Node]) -> None:
        for paragraph in (inner for node in nodes for inner in node.walk()):
            if inline := paragraph.inline:
                self._report_lost_items(inline.content.split("\n"), paragraph.line)
                annotation.report_open_comment(inline, paragraph.line, self.problems)
                for token in inline.children or ():
                    if annotation.is_comment(token.content, token.type):
                        self._report_stray_annotation(token.content, paragraph.line)

    def _report_stray_annotation(self, comment: str, line: int) -> None:
        if annotation.is_annotation(comment):
            self.problems.add(
                line,
                f"The annotation {one_line(comment)} isn't attached to anything; move it to the end of a "
                "heading or an item (`- [ ] text <!-- … -->`).",
            )

    def _report_lost_items(self, lines: Sequence[str], first_line: int) -> None:
        for number, line in enumerate(lines, first_line):
            if looks_like_item(line):
                self.problems.add(
                    number,
                    f"“{line.strip()[:60]}” looks like an item, but is text in Markdown; begin it with "
                    "`- [ ] `, add an empty line before the list, and indent sub-items by two spaces.",
                )

    def _flag(self, values: Mapping[str, Value], key: str, line: int) -> bool:
        value = values.get(key, False)
        if not isinstance(value, bool):
            self.problems.add(line, f"“{key}” can't be “{value}”; write true or false.")
            return False
        return value
