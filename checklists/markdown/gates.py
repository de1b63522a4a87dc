"""Read and write gate rules on headings, and quorums and labels of signature lines."""

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
MAX_QUORUM = 9  # a larger number is probably a typing error


def read_rules(
    values: Mapping[str, Value], line: int, vocabulary: Vocabulary, problems: Collector
) -> GateRules:
    """Return the rules on a gate's heading, such as `creator: false, requires: test_restore, within: 7d`."""
    stated = [key for key in RULE_KEYS if key in values]
    if stated and "gate" not in values:
        problems.add(line, f"“{stated[0]}” is a gate rule; put it next to `gate: pre` or `gate: post`.")
        return NO_RULES
    creator = values.get("creator", True)
    if not isinstance(creator, bool):
        problems.add(
            line,
            f"“creator” is “{creator}”; write false if the deployment's creator may not sign, else true.",
        )
        creator = True
    requires, within = _read_required(values, line, vocabulary, problems)
    return GateRules(creator, requires, within)


def write_rules(rules: GateRules) -> dict[str, Value]:
    """Return the annotation values for the rules; the inverse of `read_rules`."""
    values: dict[str, Value] = {} if rules.creator else {"creator": False}
    if rules.requires and rules.within is not None:
        values |= {"requires": rules.requires, "within": format_due(rules.within).removeprefix("+")}
    return values


def read_quorum(values: Mapping[str, Value], line: int, problems: Collector) -> int:
    """Return how many different people must sign on a line; 1 by default."""
    quorum = values.get("quorum", 1)
    if isinstance(quorum, bool) or not isinstance(quorum, int) or not 1 <= quorum <= MAX_QUORUM:
        problems.add(
            line,
            f"“quorum” can't be “{quorum}”; write how many people must sign, from 1 to {MAX_QUORUM}.",
        )
        return 1
    return quorum


def label_of(text: str, role: str) -> str:
    """Return the label of a signature line: the text before the blank, or the role's name."""
    return text.split("__")[0].rstrip(" :\\") or ROLE_LABELS.get(role, role)


def _read_required(
    values: Mapping[str, Value], line: int, vocabulary: Vocabulary, problems: Collector
) -> tuple[str, timedelta | None]:
    if "requires" not in values and "within" not in values:
        return "", None
    if "requires" not in values or "within" not in values:
        problems.add(
            line,
            "“requires” and “within” must be used together; "
            "write them as in `requires: test_restore, within: 7d`.",
        )
        return "", None
    name = str(values["requires"])
    if name not in vocabulary.operations:
        problems.add(line, f"There is no operation “{name}”; {suggestion(name, list(vocabulary.operations))}")
        return "", None
    try:
        within = parse_due(str(values["within"]))
    except ValueError:
        within = timedelta()
    if within <= timedelta():
        problems.add(
            line,
            f"“{values['within']}” isn't a valid duration; write a number with w, d, h or m, such as 7d.",
        )
        return "", None
    return name, within
