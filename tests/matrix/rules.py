"""What a kind of person is answered: said here once more, on purpose without looking at the policies."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace


class Answer(enum.Enum):
    """What came of a request, by who was asking."""

    LET_IN = "let in"
    SIGN_IN = "sent to sign in"
    GIVE_CODE = "sent to give a code"
    ENROLL = "sent to set up a second factor"
    REFUSED = "refused"
    ABSENT = "told that there is no such thing"


@dataclass(frozen=True)
class Rule:
    """Who is let in.

    Args:
        signed_in: only who is.
        enrolled: only with a code of their own given in this session.
        permission: only with it.
        fresh: only with a code given in the last minutes.
        part: only with this part in the deployment: "team", "leading", "dba" or "slot"; operators have every
            part but "slot". Or "keeper": operators who are the target's Database Administrator, which none of
            the kinds is, and administrators.
        absent: for everybody who is let in, there is no such thing.
        token: for programs only, by an API token; nobody's session opens it.
        half_suffices: the password alone is enough, where the code is still owed.
        leads_to_code: the same, and who has to set up a factor is sent there by the page itself.
        leads_to_sign_in: who has not begun to sign in is sent there, others to the first page.
    """

    signed_in: bool = True
    enrolled: bool = False
    permission: str = ""
    fresh: bool = False
    part: str = ""
    absent: bool = False
    leads_to_code: bool = False
    leads_to_sign_in: bool = False
    half_suffices: bool = False
    token: bool = False


PUBLIC = Rule(signed_in=False)
IDENTIFIED = Rule(half_suffices=True)
MEMBER = Rule()
ENROLLED = Rule(enrolled=True)
OPERATOR = Rule(enrolled=True, permission="operator")
APPROVER = Rule(enrolled=True, permission="approver")
ADMINISTRATOR = Rule(enrolled=True, permission="administrator")
FRESH_OPERATOR = replace(OPERATOR, fresh=True)
FRESH_ENROLLED = replace(ENROLLED, fresh=True)
FRESH_ADMINISTRATOR = replace(ADMINISTRATOR, fresh=True)
TEAM = Rule(part="team")
DBA = Rule(part="dba")
LEADING = Rule(enrolled=True, part="leading")
HALTING = Rule(enrolled=True, part="team")
TOKEN = Rule(token=True)
KEEPER = Rule(enrolled=True, permission="operator", fresh=True, part="keeper")
SLOT = Rule(enrolled=True, permission="approver", part="slot")


@dataclass(frozen=True)
class Kind:
    """A kind of person with a session.

    Args:
        signed_in: whether the session is somebody's at all.
        factor: "given", "stale" (given a while ago), "owed" (enrolled, not given), "recovered" (a recovery
            code instead) or "none" (not enrolled).
        permissions: what the person holds; an administrator holds everything.
        parts: in the deployment that is "own".
    """

    name: str
    signed_in: bool = True
    factor: str = "given"
    permissions: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()

    def holds(self, permission: str) -> bool:
        """Whether they hold a permission, an administrator every one."""
        return permission in self.permissions or "administrator" in self.permissions

    def has_part(self, part: str, *, own: bool) -> bool:
        """Whether they have a part in the deployment that is asked about."""
        if part == "keeper":
            return self.holds("administrator")
        return (own and part in self.parts) or (part != "slot" and self.holds("operator"))


def expected(rule: Rule, kind: Kind, *, own: bool) -> Answer:
    """What a kind of person is answered under a rule."""
    if rule.token:
        return Answer.SIGN_IN
    if not rule.signed_in:
        return Answer.LET_IN
    if not kind.signed_in:
        return Answer.SIGN_IN
    if rule.leads_to_sign_in:
        return Answer.LET_IN
    if rule.leads_to_code:
        return Answer.ENROLL if kind.factor == "none" else Answer.LET_IN
    return _by_factor(rule, kind) or _by_part(rule, kind, own=own)


def _by_factor(rule: Rule, kind: Kind) -> Answer | None:
    if rule.permission and not kind.holds(rule.permission):
        return Answer.REFUSED
    if kind.factor == "owed" and not rule.half_suffices:
        return Answer.GIVE_CODE
    if rule.enrolled and kind.factor == "none":
        return Answer.ENROLL
    if rule.enrolled and kind.factor == "recovered":
        return Answer.GIVE_CODE
    if rule.fresh and kind.factor == "stale":
        return Answer.GIVE_CODE
    return None


def _by_part(rule: Rule, kind: Kind, *, own: bool) -> Answer:
    if rule.part and not kind.has_part(rule.part, own=own):
        return Answer.REFUSED
    return Answer.ABSENT if rule.absent else Answer.LET_IN
