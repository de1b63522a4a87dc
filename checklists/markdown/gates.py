"""What headings and signature lines say of a gate."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from checklists.markdown.annotation import Value, suggestion
from checklists.markdown.due_times import format_due, parse_due
from checklists.markdown.errors import Collector
from checklists.markdown.model import NO_RULES, GateRules
from checklists.markdown.vocabulary import ROLE_LABELS, Vocabulary

RULE_KEYS = ("creator", "requires", "within")
SLOT_KEYS = ("sign", "role", "quorum")
MAX_QUORUM = 9  # more people than that hold no role in any team that we know of


def read_rules(
    notes: Mapping[str, Value], line: int, vocabulary: Vocabulary, problems: Collector
) -> GateRules:
    """The rules that a gate's heading states: `creator: false, requires: test_restore, within: 7d`."""
    stated = [key for key in RULE_KEYS if key in notes]
    if stated and "gate" not in notes:
        problems.add(line, f"“{stated[0]}” is a rule of a gate; put it beside `gate: pre` or `gate: post`.")
        return NO_RULES
    creator = notes.get("creator", True)
    if not isinstance(creator, bool):
        problems.add(
            line,
            f"“creator” is true or false, not “{creator}”: whether who created the deployment may sign here.",
        )
        creator = True
    requires, within = _read_required(notes, line, vocabulary, problems)
    return GateRules(creator, requires, within)


def write_rules(rules: GateRules) -> dict[str, Value]:
    """What a heading says so that `read_rules` finds these rules again."""
    said: dict[str, Value] = {} if rules.creator else {"creator": False}
    if rules.requires and rules.within is not None:
        said |= {"requires": rules.requires, "within": format_due(rules.within).removeprefix("+")}
    return said


def read_quorum(said: Mapping[str, Value], line: int, problems: Collector) -> int:
    """How many different people sign on a line; one where it does not say."""
    quorum = said.get("quorum", 1)
    if isinstance(quorum, bool) or not isinstance(quorum, int) or not 1 <= quorum <= MAX_QUORUM:
        problems.add(
            line,
            f"“quorum” says how many different people sign on this line: 1 to {MAX_QUORUM}, not “{quorum}”.",
        )
        return 1
    return quorum


def label_of(text: str, role: str) -> str:
    """What a signature line is called: its words before the line to sign on."""
    return text.split("__")[0].rstrip(" :\\") or ROLE_LABELS.get(role, role)


def _read_required(
    notes: Mapping[str, Value], line: int, vocabulary: Vocabulary, problems: Collector
) -> tuple[str, timedelta | None]:
    if "requires" not in notes and "within" not in notes:
        return "", None
    if "requires" not in notes or "within" not in notes:
        problems.add(
            line,
            "A gate requires an operation, and says how long ago it may have been: "
            "`requires: test_restore, within: 7d`.",
        )
        return "", None
    name = str(notes["requires"])
    if name not in vocabulary.operations:
        problems.add(line, f"There is no operation “{name}”; {suggestion(name, list(vocabulary.operations))}")
        return "", None
    try:
        within = parse_due(str(notes["within"]))
    except ValueError:
        within = timedelta()
    if within <= timedelta():
        problems.add(
            line,
            f"“{notes['within']}” is not a length of time; write a number with w, d, h or m, such as 7d.",
        )
        return "", None
    return name, within
