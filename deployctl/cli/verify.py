"""`deployctl verify`: check exported evidence on any machine, without database, settings or network."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from deployctl.audit import signed_statements
from deployctl.cli._output import json_option
from deployctl.errors import InvalidInput
from signoff.verifier import files
from signoff.verifier.findings import Finding


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--public-key",
    "key_files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A file with a public key that you trust (PEM or hexadecimal); may be given several times.",
)
@click.option(
    "--fingerprint",
    "fingerprints",
    multiple=True,
    help="The fingerprint of a key that you trust, as the audit page shows it.",
)
@json_option
def verify(*, file: Path, key_files: tuple[Path, ...], fingerprints: tuple[str, ...], as_json: bool) -> None:
    """Check an evidence pack, a period pack or an audit export; exit status 1 names what is wrong."""
    trusted = [_key(path) for path in key_files] + [_fingerprint(text) for text in fingerprints]
    finding = files.verify(file, trusted)
    if as_json:
        facts = asdict(finding) | {"ok": finding.ok}
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        _tell(finding, file)
    if not finding.ok:
        raise SystemExit(1)


def _tell(finding: Finding, file: Path) -> None:
    if not finding.ok:
        click.echo(f"{file} is not what was exported:", err=True)
        for problem in finding.problems:
            click.echo(f"  {problem}", err=True)
        return
    click.echo(f"{file}: this {finding.kind} is what was exported, byte for byte.")
    for name, value in finding.facts.items():
        click.echo(f"  {name.replace('_', ' ')}: {value}")
    click.echo(f"  key: {finding.fingerprint}")
    if not finding.key_is_trusted:
        click.echo(
            "The key is the file's own: nobody vouches for it here. Compare the fingerprint with the one "
            "that the installation shows on its audit page, or give it by --fingerprint or --public-key.",
            err=True,
        )


def _key(path: Path) -> str:
    try:
        return signed_statements.read_public(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, signed_statements.UnusableKey) as error:
        raise InvalidInput(f"{path} cannot be used as a key: {error}. Nothing was checked.") from None


def _fingerprint(text: str) -> str:
    bare = text.strip().lower()
    if len(bare) != signed_statements.FINGERPRINT_DIGITS or not all(
        digit in "0123456789abcdef" for digit in bare
    ):
        raise InvalidInput(f"{text!r} is no fingerprint; it has 64 hexadecimal digits. Nothing was checked.")
    return bare
