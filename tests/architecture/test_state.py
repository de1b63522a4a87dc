"""Only methods in a model's own module change its state."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.source import product
from tests.architecture.state_guard import changes

MODEL = """
class Thing(models.Model):
    state = models.CharField(max_length=20)

    def finish(self):
        {}
"""


def test_only_the_module_of_a_model_changes_its_state() -> None:
    found = [f"{source.path}:{line}: {code}" for source in product() for line, code in changes(source.tree)]
    assert not found, "move these into methods of the model:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "code",
    [
        'Item.objects.filter(state="open").update(state="done")',
        "await Item.objects.aupdate(state=DONE)",
        'item.state = "done"',
        'item.state, item.note = "done", ""',
        'item.state: str = "done"',
        "for item.state in states: pass",
        'item.save(update_fields=["state"])',
        'item.save(update_fields=("note", "state"))',
        'setattr(item, "state", "done")',
        'object.__setattr__(item, "state", "done")',
        'item.__dict__["state"] = "done"',
        'items.update(**{"state": "done"})',
        "items.update(**dict(state=DONE))",
        'Item.objects.bulk_update(items, ["note", "state"])',
        'Item.objects.bulk_update(items, fields=["state"])',
        'Item.objects.bulk_create(items, update_conflicts=True, update_fields=["state"])',
        'Item.objects.update_or_create(pk=1, defaults={"state": "done"})',
        'cursor.execute("UPDATE checklists_item SET state = %s", ["done"])',
        'def task():\n    fields = {"state": "done"}\n    items.update(**fields)',
        'def task():\n    fields = {}\n    fields["state"] = "done"\n    items.update(**fields)',
        'class Job(Base):\n    def end(self):\n        self.state = "done"',
        # In a module that defines another model.
        MODEL.format('Other.objects.filter(pk=1).update(state="done")'),
    ],
)
def test_a_state_change_in_another_module_is_found(code: str) -> None:
    assert changes(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        'Item.objects.filter(state="open").update(note="")',
        "state = item.state",
        'if item.state == "done": pass',
        'item.save(update_fields=["note"])',
        'setattr(item, "note", "")',
        'known.update({"a": 1})',
        'Item(state="open")',
        'def task():\n    fields = {"note": ""}\n    items.update(**fields)',
        'class Parser:\n    def __init__(self):\n        self.state = "start"',
        MODEL.format('self.state = "done"'),
        MODEL.format('Thing.objects.filter(pk=self.pk, state="open").update(state="done")'),
        MODEL.format('cls.objects.filter(pk=1).update(state="done")'),
        MODEL.format('self.rows.filter(pk=self.pk).update(state="done")'),
    ],
)
def test_other_code_passes(code: str) -> None:
    assert not changes(ast.parse(code))
