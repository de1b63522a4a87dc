"""Task lists: items, sub-items and signature lines, with everything that stands between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from checklists.markdown import annotation
from checklists.markdown.annotation import ITEM_KEYS, Value, suggestion, unknown_key
from checklists.markdown.document import (
    Node,
    after_box,
    contains_task,
    looks_like_item,
    one_line,
    strip_markup,
    task_text,
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
    """Turns the blocks below one heading into items, slots, commands and notes.

    `path` is what the keys of the items begin with: the titles of phase and section.
    """

    path: tuple[str, ...]
    scope: Scope
    vocabulary: Vocabulary
    keys: Keys
    problems: Collector
    depth: int = 1

    def read(self, nodes: Sequence[Node]) -> tuple[Block, ...]:
        """Everything in `nodes`, in the order of the document."""
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
        """A list with items; what carries no box is a note, unless it has items below it."""
        found: list[Block] = []
        waiting: list[Node] = []
        for entry in node.children:
            if not contains_task(entry):
                waiting.append(entry)
                continue
            found += self._plain_entries(waiting)
            waiting = []
            found += self._entry(entry)
        return found + self._plain_entries(waiting)

    def _plain_entries(self, entries: Sequence[Node]) -> list[Block]:
        if not entries:
            return []
        self._complain_about_text(entries)
        return [note(entries, entries[0].line)]

    def _entry(self, entry: Node) -> Sequence[Block]:
        if entry.children[0].type != "paragraph":
            return self.read(entry.children)  # "- - [ ] text": the outer list holds nothing of its own
        head, *rest = entry.children
        line = head.line
        self._complain_about_lost_items(head.text.split("\n")[1:], line + 1)
        text, said = annotation.split(head.inline or head.token, line, self.problems)
        if task_text(entry) is not None:
            text = after_box(text) or ""
        if not text:
            self.problems.add(line, "This item has no text; write what is promised after the box.")
            return ()
        if "sign" in said:
            return self._slot(text, said, rest, line)
        return [self._item(text, said, rest, line)]

    def _item(self, text: str, said: Mapping[str, Value], rest: Sequence[Node], line: int) -> ParsedItem:
        if "quorum" in said:
            self.problems.add(line, "“quorum” belongs to a signature line, beside `sign` and `role`.")
        kind, name, params = self._automation(said, line)
        key = self.keys.take(*self.path, strip_markup(text))
        scope = replace(
            self.scope,
            stage=self._stage(said, line),
            role=read_role(said, line, self.vocabulary, self.problems) or self.scope.role,
            due=read_due(said, line, self.problems, self.scope.due),
        )
        if "due" in said and scope.stage is Stage.ONGOING:
            self.problems.add(line, "A recurring item has no due time in the window; remove `due`.")
        below = replace(self, scope=scope, depth=self.depth + 1).read(rest)
        children = tuple(block for block in below if isinstance(block, ParsedItem))
        self._complain_about_children(kind, name, children, line)
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
            evidence=self._flag(said, "evidence", line),
            notes=tuple(block for block in below if isinstance(block, ParsedNote | ParsedCommands)),
            children=children,
        )

    def _stage(self, said: Mapping[str, Value], line: int) -> Stage:
        stage = read_choice(Stage, said, "stage", line, self.problems)
        if stage and self.depth > 1:
            self.problems.add(line, "A sub-item has the stage of the item above it; move `stage` there.")
        if stage is Stage.ONGOING and self.scope.stage is not Stage.ONGOING:
            self.problems.add(
                line, "Recurring items stand below a heading that says how often; move it there."
            )
        return stage or self.scope.stage

    def _slot(self, text: str, said: Mapping[str, Value], rest: Sequence[Node], line: int) -> list[Block]:
        for key in said.keys() - set(SLOT_KEYS):
            self.problems.add(
                line, f"A signature line takes `sign`, `role` and `quorum` only; remove “{key}”."
            )
        gate, role = str(said["sign"]), read_role(said, line, self.vocabulary, self.problems)
        if gate not in list(GateKey):
            self.problems.add(line, f"There is no gate “{gate}”; {suggestion(gate, list(GateKey))}")
            return []
        if "role" not in said:
            self.problems.add(
                line,
                "A signature line needs the role that signs: `sign: pre, role: dba`. "
                f"Roles: {', '.join(self.vocabulary.roles)}.",
            )
            return []
        if self.scope.gate and self.scope.gate != gate:
            self.problems.add(
                line,
                f"This line signs at “{gate}” below the gate “{self.scope.gate}”; use one of the two.",
            )
        if rest or self.depth > 1:
            self.problems.add(line, "A signature line stands alone: nothing above or below it in its list.")
        quorum = read_quorum(said, line, self.problems)
        return [ParsedSlot(GateKey(gate), role, label_of(text, role), quorum, line)]

    def _automation(self, said: Mapping[str, Value], line: int) -> tuple[ItemKind, str, dict[str, Value]]:
        """What fulfils the item, and the parameters it is given."""
        extra = {key: value for key, value in said.items() if key not in ITEM_KEYS}
        given = [kind for kind in (ItemKind.OPERATION, ItemKind.CHECK) if kind in said]
        if not given:
            for key in extra:
                self.problems.add(line, unknown_key(key, ITEM_KEYS, "items"))
            return ItemKind.MANUAL, "", {}
        if len(given) > 1:
            self.problems.add(line, "An item is fulfilled by an operation or a check, not both; keep one.")
        kind, name = given[0], str(said[given[0]])
        known = self.vocabulary.operations if kind is ItemKind.OPERATION else self.vocabulary.checks
        if name not in known:
            self.problems.add(line, f"There is no {kind} “{name}”; {suggestion(name, sorted(known))}")
            return kind, name, extra
        self._complain_about_params(kind, name, extra, line)
        return kind, name, extra

    def _complain_about_params(
        self, kind: ItemKind, name: str, params: Mapping[str, Value], line: int
    ) -> None:
        allowed = self.vocabulary.params_of(kind, name)
        for key in params:
            if allowed is not None and key not in allowed:
                known = (*ITEM_KEYS, *allowed)
                self.problems.add(line, f"“{key}” is no parameter of {name}; {suggestion(key, known)}")

    def _complain_about_children(
        self, kind: ItemKind, name: str, children: Sequence[ParsedItem], line: int
    ) -> None:
        if children and kind is not ItemKind.MANUAL:
            self.problems.add(
                line, f"An item with sub-items is done when they are; move “{kind}: {name}” to one of them."
            )
        if children and self.depth >= MAX_DEPTH:
            self.problems.add(line, f"Items nest at most {MAX_DEPTH} deep; use a section of its own.")

    def _other(self, node: Node) -> list[Block]:
        if node.type == "html_block" and node.token.content.lstrip().startswith("<!--"):
            if "-->" not in node.token.content:
                self.problems.add(node.line, "A comment is opened with <!-- and not closed; end it with -->.")
                return []
            if annotation.is_comment(node.token.content, node.type):
                self._complain_about_stray_annotation(node.token.content, node.line)
                return []
        if node.type == "fence":
            return [commands(node)]
        if node.type == "code_block":
            self._complain_about_lost_items(node.token.content.split("\n"), node.line)
            return [commands(node)]
        self._complain_about_text([node])
        return [note([node], node.line)]

    def _complain_about_text(self, nodes: Sequence[Node]) -> None:
        for paragraph in (inner for node in nodes for inner in node.walk()):
            if inline := paragraph.inline:
                self._complain_about_lost_items(inline.content.split("\n"), paragraph.line)
                annotation.complain_about_open_comment(inline, paragraph.line, self.problems)
                for token in inline.children or ():
                    if annotation.is_comment(token.content, token.type):
                        self._complain_about_stray_annotation(token.content, paragraph.line)

    def _complain_about_stray_annotation(self, comment: str, line: int) -> None:
        if annotation.is_annotation(comment):
            self.problems.add(
                line,
                f"{one_line(comment)} belongs to nothing; put it at the end of a heading or of an item "
                "(`- [ ] text <!-- … -->`).",
            )

    def _complain_about_lost_items(self, lines: Sequence[str], first_line: int) -> None:
        for number, line in enumerate(lines, first_line):
            if looks_like_item(line):
                self.problems.add(
                    number,
                    f"“{line.strip()[:60]}” looks like an item, but Markdown reads it as text; begin it with "
                    "`- [ ] `, put an empty line before the list, and indent sub-items by two spaces.",
                )

    def _flag(self, said: Mapping[str, Value], key: str, line: int) -> bool:
        value = said.get(key, False)
        if not isinstance(value, bool):
            self.problems.add(line, f"“{key}” is true or false, not “{value}”.")
            return False
        return value
