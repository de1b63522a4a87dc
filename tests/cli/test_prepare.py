"""The preparation of an installation at every start."""

from __future__ import annotations

from checklists.models import Template
from deployctl.cli import prepare


def test_a_new_installation_has_the_published_built_in_template(db: None) -> None:
    for _ in range(2):
        prepare._publish_builtin_templates()
    template = Template.objects.get(slug="healthcare")
    assert [version.is_published for version in template.versions.all()] == [True]
