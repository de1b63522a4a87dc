"""The built-in checklist has exactly the content of the document from which it was made."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from checklists import builtin
from checklists.markdown import ROLE_LABELS, ParsedTemplate, Stage, parse, render, template_warnings
from checklists.template_parsing import known_operations, parse_template
from deployctl.accounts.roles import Role

# The document's headings and items in order, copied line by line, with sub-items indented.
EXPECTED = (Path(__file__).parent / "healthcare_items.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def healthcare() -> ParsedTemplate:
    return parse_template(builtin.source("healthcare"), "healthcare.md")


def test_it_has_all_items_and_signature_lines(healthcare: ParsedTemplate) -> None:
    assert sum(1 for _ in healthcare.walk_items()) == 142
    assert len(healthcare.slots) == 6


def test_its_headings_and_items_match_the_document(healthcare: ParsedTemplate) -> None:
    found = []
    for phase in healthcare.phases:
        found.append(f"## {phase.title}")
        for section in phase.sections:
            if section.title and not section.continued:
                found.append(f"### {section.title}")
            for item in section.items:
                found += [item.text, *(f"  {child.text}" for child in item.children)]
            found += [f"{slot.label}: _________________ Date: _______" for slot in section.slots]
    assert found == EXPECTED


def test_without_annotations_it_has_the_same_items(healthcare: ParsedTemplate) -> None:
    bare = "\n".join(line.split(" <!-- ")[0] for line in builtin.source("healthcare").splitlines())
    texts = [item.text for item in parse(bare).walk_items()]
    lines = [line.strip() for line in EXPECTED if not line.startswith("#")]
    assert texts == lines
    assert len(texts) == 148


def test_three_roles_sign_before_and_three_after(healthcare: ParsedTemplate) -> None:
    signers = {gate.title: [slot.role for slot in gate.slots] for gate in healthcare.gates}
    assert signers == {
        "Pre-Deployment Approval": ["dba", "devops_lead", "cto"],
        "Post-Deployment Verification": ["dba", "app_team_lead", "qa_lead"],
    }


def test_the_first_gate_covers_everything_before_the_deployment(healthcare: ParsedTemplate) -> None:
    before = [
        section.title for section in healthcare.sections if section.stage is Stage.PRE and section.items
    ]
    assert before == [
        "Environment Setup",
        "Schema Preparation",
        "Backup Infrastructure",
        "Security Hardening",
        "Pre-Deployment Verification (2 hours before)",
        "Database Creation (1 hour before)",
    ]


def test_the_team_sign_off_belongs_to_the_first_week(healthcare: ParsedTemplate) -> None:
    stages = {item.text: item.stage for item in healthcare.success_criteria}
    assert stages.pop("Team sign-off received") is Stage.WEEK
    assert set(stages.values()) == {Stage.POST}
    assert len(stages) == 9


def test_recurring_items_have_a_routine(healthcare: ParsedTemplate) -> None:
    assert {str(routine): len(items) for routine, items in healthcare.routines.items()} == {
        "daily": 4,
        "weekly": 5,
        "monthly": 6,
        "quarterly": 5,
    }


def test_due_times_follow_the_headings(healthcare: ParsedTemplate) -> None:
    due = {item.text: item.due for item in healthcare.walk_items()}
    assert due["PostgreSQL 13+ installed and configured"] == timedelta(weeks=-1)
    assert due["All stakeholders notified"] == timedelta(hours=-2)
    assert due["Database created successfully"] == timedelta(hours=-1)
    assert due["Migrations applied successfully"] == timedelta()
    assert due["Enable MFA for admin account"] == timedelta(hours=24)
    assert due["Team sign-off received"] == timedelta(weeks=1)
    assert due["Review error logs"] is None


def test_its_operations_exist(healthcare: ParsedTemplate) -> None:
    named = Counter(item.operation for item in healthcare.walk_items() if item.operation)
    assert set(named) == {
        "backup",
        "connect",
        "createdb",
        "generate",
        "migrate",
        "migration_status",
        "seed",
        "validate",
    }
    assert set(named) <= set(known_operations())


def test_contacts_severities_and_commands_are_found(healthcare: ParsedTemplate) -> None:
    assert [contact.role for contact in healthcare.contacts] == ["dba", "devops_lead", "cto", "on_call"]
    assert {severity.name: severity.meaning for severity in healthcare.severities} == {
        "critical": "Data corruption, security breach",
        "high": "Significant errors, failed migrations",
        "medium": "Performance issues, warnings",
    }
    commands = [block.source for section in healthcare.sections for block in section.commands]
    assert len(commands) == 7
    assert "npm run db:migrate:prod" in commands[1]


def test_every_item_has_a_role(healthcare: ParsedTemplate) -> None:
    assert {item.role for item in healthcare.walk_items()} == set(Role.values)


def test_it_has_no_warnings(healthcare: ParsedTemplate) -> None:
    assert template_warnings(healthcare) == ()


def test_export_and_import_give_the_same_template(healthcare: ParsedTemplate) -> None:
    exported = render(healthcare)
    again = parse_template(exported)
    assert again == healthcare
    assert render(again) == exported


def test_the_parser_has_the_roles_of_the_accounts_app() -> None:
    assert dict(ROLE_LABELS) == dict(Role.choices)
