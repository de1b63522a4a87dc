"""`deployctl template`: show, check, import, export and publish checklist templates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from checklists import builtin
from checklists.markdown import ParsedTemplate, TemplateErrors, read_file, render, template_warnings
from checklists.markdown.serialize import as_dict
from checklists.template_parsing import parse_template
from deployctl.cli import _django, _output
from deployctl.errors import DeployctlError
from deployctl.text import pluralize

if TYPE_CHECKING:
    from checklists.models import TemplateVersion

SOURCE = click.argument("source", metavar="FILE|SLUG")


@click.group()
def template() -> None:
    """Show, check, import and publish checklist templates."""


@template.command()
@SOURCE
@_output.json_option
def show(source: str, *, as_json: bool) -> None:
    """Show the phases and sections of a template.

    FILE|SLUG is a Markdown file, a built-in template, or the newest version of an imported template.
    """
    parsed = _parsed(source)
    if as_json:
        _output.print_json(as_dict(parsed))
    else:
        _print_outline(parsed)


@template.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@_output.json_option
def lint(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Check Markdown files and list every problem with its line. No database is needed.

    The exit status is 1 if there are errors; warnings don't change it.
    """
    findings: list[dict[str, Any]] = []
    for file in files:
        try:
            found = template_warnings(parse_template(read_file(file), str(file)))
            findings += [
                {"file": str(file), "line": 0, "level": "warning", "message": text} for text in found
            ]
        except TemplateErrors as errors:
            findings += [
                {"file": str(file), "line": problem.line, "level": "error", "message": problem.message}
                for problem in errors.problems
            ]
    if as_json:
        _output.print_json(findings)
    else:
        _print_findings(findings, len(files))
    if any(finding["level"] == "error" for finding in findings):
        raise SystemExit(1)


@template.command(name="export")
@SOURCE
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
@click.option("--version", "number", type=click.IntRange(1), help="Version of an imported template.")
def export_(source: str, output: Path | None, number: int | None) -> None:
    """Export a template as Markdown; importing it gives the same template."""
    text = render(_stored(source, number).parsed() if number else _parsed(source))
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DeployctlError(f"{output} can't be written: {error.strerror}.") from error
    click.echo(f"Wrote {output}.")


@template.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--slug", help="Short name; by default derived from the file name.")
@click.option("--name", default="", help="Display name; by default the title.")
@click.option("--publish", is_flag=True, help="Publish the version, so that deployments can use it.")
@_output.json_option
def import_(file: Path, *, slug: str | None, name: str, publish: bool, as_json: bool) -> None:
    """Import a Markdown file as a draft of the next version of a template."""
    from checklists.markdown.slugs import slug as slug_of

    source = read_file(file)
    parse_template(source, str(file))  # problems name the file, and are found without a database
    _django.setup()
    from django.db import transaction

    from checklists.models import Template

    with transaction.atomic():
        version = Template.import_source(
            slug=slug or slug_of(file.stem), name=name, source=source, by=_django.command_line_actor()
        )
        if publish:
            version.publish(by=_django.command_line_actor())
    _print_version(version, as_json=as_json)


@template.command()
@click.argument("slug")
@click.option("--version", "number", type=click.IntRange(1), help="The version; by default the newest.")
@_output.json_option
def publish(slug: str, *, number: int | None, as_json: bool) -> None:
    """Publish a draft, so that deployments can use it. A published version never changes."""
    version = _stored(slug, number)
    version.publish(by=_django.command_line_actor())
    _print_version(version, as_json=as_json)


@template.command(name="list")
@_output.json_option
def list_(*, as_json: bool) -> None:
    """List the imported templates with their versions."""
    _django.setup()
    from checklists.models import Template

    rows = [
        {
            "slug": one.slug,
            "name": one.name,
            "newest": one.latest.number if one.latest else None,
            "state": one.latest.state if one.latest else None,
            "published": one.current.number if one.current else None,
        }
        for one in Template.objects.with_versions()
    ]
    columns = {
        "slug": "slug",
        "name": "name",
        "newest": "newest",
        "state": "state",
        "published": "published",
    }
    empty = f"There are no imported templates yet. Built-in templates: {', '.join(builtin.slugs())}."
    _output.print_rows(rows, columns=columns, as_json=as_json, empty=empty)


def _parsed(source: str) -> ParsedTemplate:
    """Parse a file, a built-in template or an imported template; only the last needs the database."""
    path = Path(source)
    if path.is_file() or path.suffix == ".md" or path.name != source:
        return parse_template(read_file(path), source)
    if source in builtin.slugs():
        return parse_template(builtin.source(source), source)
    return _stored(source, None).parsed()


def _stored(slug: str, number: int | None) -> TemplateVersion:
    _django.setup()
    from checklists.models import TemplateVersion

    versions = TemplateVersion.objects.select_related("template").filter(template__slug=slug)
    version = (versions.filter(number=number) if number else versions).first()
    if version is None:
        if number:
            raise DeployctlError(f"There is no version {number} of template “{slug}”.")
        raise DeployctlError(f"There is no template or file named “{slug}”. See `deployctl template list`.")
    return version


def _print_version(version: TemplateVersion, *, as_json: bool) -> None:
    if as_json:
        _output.print_json(version.facts | {"state": version.state})
    else:
        click.echo(f"{version} is {version.get_state_display().lower()}.")


def _print_findings(findings: list[dict[str, Any]], files: int) -> None:
    for finding in findings:
        line = f":{finding['line']}" if finding["line"] else ""
        click.echo(f"{finding['file']}{line}: {finding['level']}: {finding['message']}")
    if not findings:
        click.echo("The template is valid." if files == 1 else f"All {files} templates are valid.")


def _print_outline(parsed: ParsedTemplate) -> None:
    items = list(parsed.walk_items())
    summary = f"{pluralize(len(items), 'item')}, {pluralize(len(parsed.slots), 'signature line')}"
    parents = sum(1 for item in items if item.children)
    summary += f"; {pluralize(parents, 'item')} with sub-items" if parents else ""
    click.echo(f"{parsed.title}: {summary}")
    for phase in parsed.phases:
        click.echo(f"\n{phase.title} ({phase.stage})")
        for section in phase.sections:
            title = section.title or "(directly below the heading)"
            stage = "" if section.stage == phase.stage else f", {section.stage}"
            counts = [pluralize(sum(1 for _ in section.walk_items()), "item")]
            counts += [pluralize(len(section.slots), "signature line")] if section.slots else []
            click.echo(f"  {title}: {', '.join(counts)}{stage}")
