"""The expected response for each kind of person, deliberately independent of the product's policies."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace


class Answer(enum.Enum):
    """The response to a request."""

    ALLOWED = "allowed"
    SIGN_IN = "redirected to sign-in"
    ENTER_CODE = "redirected to enter a code"
    ENROLL = "redirected to set up a second factor"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not found"


@dataclass(frozen=True)
class Rule:
    """The requirements for access to a URL.

    Args:
        signed_in: requires a session.
        enrolled: requires a code of a second factor in this session.
        permission: required permission.
        fresh: requires a code that was entered in the last minutes.
        role: required role in the deployment: "team", "lead", "dba" or "slot"; operators have every role
            except "slot". "target dba" requires an administrator, or an operator who is the target's
            Database Administrator, which no kind of person is.
        not_found: everybody who meets the other requirements gets a 404.
        token: only an API token gives access; sessions don't.
        password_suffices: accessible with a password even if the code has not been entered yet.
        leads_to_code: as above; the page itself redirects people who must set up a factor.
        leads_to_sign_in: redirects to sign-in if nobody has begun to sign in, otherwise to the home page.
    """

    signed_in: bool = True
    enrolled: bool = False
    permission: str = ""
    fresh: bool = False
    role: str = ""
    not_found: bool = False
    leads_to_code: bool = False
    leads_to_sign_in: bool = False
    password_suffices: bool = False
    token: bool = False


PUBLIC = Rule(signed_in=False)
IDENTIFIED = Rule(password_suffices=True)
MEMBER = Rule()
ENROLLED = Rule(enrolled=True)
OPERATOR = Rule(enrolled=True, permission="operator")
APPROVER = Rule(enrolled=True, permission="approver")
ADMINISTRATOR = Rule(enrolled=True, permission="administrator")
FRESH_OPERATOR = replace(OPERATOR, fresh=True)
FRESH_ENROLLED = replace(ENROLLED, fresh=True)
FRESH_ADMINISTRATOR = replace(ADMINISTRATOR, fresh=True)
TEAM = Rule(role="team")
DBA = Rule(role="dba")
LEAD = Rule(enrolled=True, role="lead")
ENROLLED_TEAM = Rule(enrolled=True, role="team")
TOKEN = Rule(token=True)
TARGET_DBA = Rule(enrolled=True, permission="operator", fresh=True, role="target dba")
SLOT = Rule(enrolled=True, permission="approver", role="slot")


@dataclass(frozen=True)
class Kind:
    """A kind of person with a session.

    Args:
        signed_in: whether the session belongs to a person.
        factor: "given" (code entered), "stale" (entered an hour ago), "owed" (enrolled, not entered),
            "recovered" (recovery code entered instead) or "none" (not enrolled).
        permissions: of the person; administrators have every permission.
        roles: in the person's own deployment.
    """

    name: str
    signed_in: bool = True
    factor: str = "given"
    permissions: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()

    def holds(self, permission: str) -> bool:
        """Return True if the person has a permission. Administrators have every one."""
        return permission in self.permissions or "administrator" in self.permissions

    def has_role(self, role: str, *, own: bool) -> bool:
        """Return True if the person has a role in the requested deployment."""
        if role == "target dba":
            return self.holds("administrator")
        return (own and role in self.roles) or (role != "slot" and self.holds("operator"))


def expected(rule: Rule, kind: Kind, *, own: bool) -> Answer:
    """Return the expected response for a kind of person under a rule."""
    if rule.token:
        return Answer.SIGN_IN
    if not rule.signed_in:
        return Answer.ALLOWED
    if not kind.signed_in:
        return Answer.SIGN_IN
    if rule.leads_to_sign_in:
        return Answer.ALLOWED
    if rule.leads_to_code:
        return Answer.ENROLL if kind.factor == "none" else Answer.ALLOWED
    return _by_factor(rule, kind) or _by_role(rule, kind, own=own)


def _by_factor(rule: Rule, kind: Kind) -> Answer | None:
    if rule.permission and not kind.holds(rule.permission):
        return Answer.FORBIDDEN
    if kind.factor == "owed" and not rule.password_suffices:
        return Answer.ENTER_CODE
    if rule.enrolled and kind.factor == "none":
        return Answer.ENROLL
    if rule.enrolled and kind.factor == "recovered":
        return Answer.ENTER_CODE
    if rule.fresh and kind.factor == "stale":
        return Answer.ENTER_CODE
    return None


def _by_role(rule: Rule, kind: Kind, *, own: bool) -> Answer:
    if rule.role and not kind.has_role(rule.role, own=own):
        return Answer.FORBIDDEN
    return Answer.NOT_FOUND if rule.not_found else Answer.ALLOWED
