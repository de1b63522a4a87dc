"""`deployctl verify`: verify exported evidence on any machine, without database, settings or network."""

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
    help="A file with a public key that you trust (PEM or hexadecimal); can be repeated.",
)
@click.option(
    "--fingerprint",
    "fingerprints",
    multiple=True,
    help="The fingerprint of a key that you trust, as shown on the audit page; can be repeated.",
)
@json_option
def verify(*, file: Path, key_files: tuple[Path, ...], fingerprints: tuple[str, ...], as_json: bool) -> None:
    """Verify an evidence pack, a period pack or an audit export.

    The exit status is 1 if the file was changed or isn't valid.
    """
    trusted = [_key(path) for path in key_files] + [_fingerprint(text) for text in fingerprints]
    finding = files.verify(file, trusted)
    if as_json:
        result = asdict(finding) | {"ok": finding.ok}
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        _print_finding(finding, file)
    if not finding.ok:
        raise SystemExit(1)


def _print_finding(finding: Finding, file: Path) -> None:
    if not finding.ok:
        click.echo(f"{file} is not valid:", err=True)
        for problem in finding.problems:
            click.echo(f"  {problem}", err=True)
        return
    click.echo(f"{file}: this {finding.kind} is valid and unchanged since its export, byte for byte.")
    for name, value in finding.facts.items():
        click.echo(f"  {name.replace('_', ' ')}: {value}")
    click.echo(f"  key: {finding.fingerprint}")
    if not finding.key_is_trusted:
        click.echo(
            "The key comes from the file itself and isn't trusted yet. Compare the fingerprint with the one "
            "on the installation's audit page, or pass --fingerprint or --public-key.",
            err=True,
        )


def _key(path: Path) -> str:
    try:
        return signed_statements.read_public(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, signed_statements.UnusableKey) as error:
        raise InvalidInput(f"{path} isn't a usable key: {error}. Nothing was verified.") from None


def _fingerprint(text: str) -> str:
    digits = text.strip().lower()
    if len(digits) != signed_statements.FINGERPRINT_DIGITS or not all(
        digit in "0123456789abcdef" for digit in digits
    ):
        raise InvalidInput(
            f"{text!r} isn't a fingerprint, which has 64 hexadecimal digits. Nothing was verified."
        )
    return digits
