"""Template tags and filters of deployctl.web."""

from __future__ import annotations

import datetime as dt
import html
import json
import re
from typing import Any

import pytest
from django import forms
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone

from deployctl.web.templatetags.statuses import APPEARANCES, appearance
from deployctl.web.templatetags.web import RELATIVE_TIMES, _draw_icon


def render(source: str, **context: Any) -> str:
    return Template("{% load web %}" + source).render(Context(context)).strip()


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "—"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 kB"),
        (734003200, "700 MB"),
        (1610612736, "1.5 GB"),
        (5 * 1024**5, "5120 TB"),
    ],
)
def test_sizes_use_the_units_of_postgresql(size: int | None, text: str) -> None:
    assert render("{{ size|bytes }}", size=size) == text


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (None, "—"),
        (0.0421, "42 ms"),
        (3.21, "3.2 s"),
        (59.4, "59 s"),
        (64, "1 min 04 s"),
        (dt.timedelta(hours=2, minutes=5), "2 h 05 min"),
        (dt.timedelta(days=3, hours=7), "3 d 7 h"),
    ],
)
def test_durations_have_at_most_two_units(length: float | dt.timedelta | None, text: str) -> None:
    assert render("{{ length|duration }}", length=length) == text


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (dt.timedelta(seconds=-5), "just now"),
        (dt.timedelta(seconds=20), "in a moment"),
        (dt.timedelta(minutes=-12), "12 min ago"),
        (dt.timedelta(hours=3, minutes=1), "in 3 h"),
    ],
)
def test_a_near_time_is_relative_and_marked_for_the_script(distance: dt.timedelta, text: str) -> None:
    html = render("{% when moment %}", moment=timezone.now() + distance)
    assert text in html
    assert "data-relative" in html


def test_a_distant_time_is_shown_in_the_time_zone_of_the_user() -> None:
    moment = dt.datetime(2021, 5, 12, 22, 30, 5, tzinfo=dt.UTC)
    with timezone.override("Europe/Berlin"):
        html = render("{% when moment %}", moment=moment)
    assert ">13 May 2021, 00:30<" in html
    assert 'title="Thursday 13 May 2021, 00:30:05 CEST"' in html
    assert 'datetime="2021-05-13T00:30:05+02:00"' in html


def test_an_exact_time_is_never_relative() -> None:
    html = render("{% when moment exact=True %}", moment=timezone.now())
    assert "now" not in html
    assert "data-relative" not in html


def test_a_missing_time_is_shown_as_not_yet() -> None:
    assert "not yet" in render("{% when moment %}", moment=None)


def test_a_badge_has_icon_word_and_status() -> None:
    html = render("{% badge state %}", state="signed_off")
    assert 'data-status="signed_off"' in html
    assert "<svg" in html
    assert html.endswith("Signed off</span>")


def test_a_badge_escapes_its_label() -> None:
    assert "&lt;b&gt;" in render("{% badge 'late' text %}", text="<b>")


def test_an_unknown_status_is_shown_by_its_name() -> None:
    assert appearance("half_way").word == "Half way"


@pytest.mark.parametrize("status", APPEARANCES)
def test_every_status_has_an_icon_that_exists(status: str) -> None:
    assert "<svg" in _draw_icon(APPEARANCES[status].icon, 16)


class Choices(forms.Form):
    email = forms.EmailField(help_text="Where notices go.")
    note = forms.CharField(required=False)
    agreed = forms.BooleanField(label="I have read it")


def test_a_field_links_label_help_and_error() -> None:
    html = render("{% field form.email %}", form=Choices({"email": "nobody"}))
    assert '<label for="id_email">' in html
    assert 'aria-describedby="id_email_helptext id_email_error"' in html
    assert 'aria-invalid="true"' in html
    assert 'id="id_email_helptext"' in html
    assert 'id="id_email_error"' in html


def test_optional_fields_are_marked() -> None:
    assert "(optional)" in render("{% field form.note %}", form=Choices())
    assert "(optional)" not in render("{% field form.email %}", form=Choices())


def test_a_checkbox_precedes_its_label() -> None:
    html = render("{% field form.agreed %}", form=Choices())
    assert html.index("<input") < html.index("<label")


def test_the_current_page_is_marked_in_the_navigation() -> None:
    request = RequestFactory().get("/targets/healthcare/")
    here = render("{% nav_link 'runs:targets' 'Targets' 'circle-stack' %}", request=request)
    home = render("{% nav_link 'checklists:home' 'Home' 'home' %}", request=request)
    assert 'aria-current="page"' in here
    assert "aria-current" not in home


def test_with_query_keeps_other_parameters() -> None:
    request = RequestFactory().get("/history/", {"person": "cto", "page": "3", "state": "closed"})
    assert render("{% with_query page=4 state='' as q %}{{ q }}", request=request) == "?person=cto&amp;page=4"


class Rights(forms.Form):
    rights = forms.MultipleChoiceField(
        choices=[("a", "One"), ("b", "Two")], widget=forms.CheckboxSelectMultiple
    )


def test_several_checkboxes_are_a_group_with_a_legend() -> None:
    html = render("{% field form.rights %}", form=Rights())
    assert "<fieldset" in html
    assert "<legend>Rights</legend>" in html
    assert "field--check" not in html


@pytest.mark.parametrize(
    ("done", "total", "unit", "text"),
    [
        (0, 1, "tables", "0 of 1 table"),
        (1, 2, "tables", "1 of 2 tables"),
        (1, None, "rows", "1 row so far"),
        (2500, 3000, "foreign keys", "2,500 of 3,000 foreign keys"),
    ],
)
def test_progress_uses_singular_and_plural_units(done: int, total: int | None, unit: str, text: str) -> None:
    source = '{% include "web/_progress.html" %}'
    assert f"<span>{text}</span>" in render(source, done=done, total=total, unit=unit)


def test_counted_adds_the_noun() -> None:
    assert render('{{ n|counted:"entry" }}', n=1) == "1 entry"
    assert render('{{ n|counted:"entry" }}', n=1234) == "1,234 entries"


def test_pages_contain_the_relative_times_for_the_script() -> None:
    head = render('{% include "web/_head.html" %}')
    content = re.search(r'<meta name="relative-times" content="([^"]+)">', head)
    assert content is not None
    assert json.loads(html.unescape(content[1])) == [step._asdict() for step in RELATIVE_TIMES]
