"""Which files may be kept as evidence: known by their ending, and their content has to fit it.

So that a name tells whoever downloads a file what will open it. That makes no file harmless: a page may hold
a script, an office document macros, an archive anything, and deployctl scans nothing for malware. It only
ever hands files out as downloads without a type (`checklists.views.proofs`), and shows none itself.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from django.core.files import File

from deployctl.errors import InvalidInput

_JPEG = rb"\xff\xd8\xff"  # ITU-T T.81, B.1.1.3
_HEIF = rb".{4}ftyp"  # ISO/IEC 23008-12, 10; ISO/IEC 14496-12, 4.3
_ZIP = rb"PK(\x03\x04|\x05\x06)"  # APPNOTE.TXT, 4.3.7; 4.3.16 if empty
_GZIP = rb"\x1f\x8b\x08"  # RFC 1952, 2.3.1
_OLE = rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # MS-CFB, 2.2
# Office documents are ZIP archives; those with a password lie in the older container: MS-OFFCRYPTO, 1.3.
_OFFICE = rb"%b|%b" % (_ZIP, _OLE)

# How files of a kind begin.
_BEGINNINGS: dict[str, bytes] = {
    ".png": rb"\x89PNG\r\n\x1a\n",  # RFC 2083, 3.1
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".gif": rb"GIF8[79]a",  # GIF89a, 17
    ".webp": rb"RIFF.{4}WEBP",  # RFC 9649, 2.4
    ".heic": _HEIF,
    ".heif": _HEIF,
    ".pdf": rb".{0,1019}?%PDF-",  # anywhere in the first 1,024 bytes: PDF Reference 1.7, H.3, 3.4.1
    **dict.fromkeys([".docx", ".xlsx", ".pptx"], _OFFICE),
    **dict.fromkeys([".doc", ".xls", ".ppt", ".msg"], _OLE),
    **dict.fromkeys([".zip", ".odt", ".ods", ".odp"], _ZIP),
    ".gz": _GZIP,
    ".tgz": _GZIP,
    ".bz2": rb"BZh",
    ".xz": rb"\xfd7zXZ\x00",  # The .xz File Format, 2.1.1.1
    ".zst": rb"\x28\xb5\x2f\xfd",  # RFC 8878, 3.1.1
    ".tar": rb".{257}ustar",  # POSIX.1, pax, ustar Interchange Format
    ".sig": rb"[\x88-\x8b\xc2]",  # a packet of OpenPGP: RFC 9580, 4.2, 5.2
}
_TEXTS = frozenset(
    [
        *(".txt", ".md", ".html", ".htm", ".eml", ".log", ".out", ".err", ".sql", ".diff", ".patch"),
        *(".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml"),
        *(".ini", ".conf", ".cfg", ".properties", ".asc", ".sig"),
    ]
)
# What logrotate adds behind an ending: a number or a date.
_ROTATION = re.compile(r"([.-]\d+)+$")
# For the `accept` of a form: what browsers offer to choose from.
ACCEPTED = ",".join([*sorted(_TEXTS | _BEGINNINGS.keys()), *(f".{number}" for number in range(1, 10))])
# Of the characters that control something, what texts, logs and records of terminals hold: bells, backspaces,
# tabs, line ends, other character sets, the end of a file under DOS, colours.
_NEVER_IN_TEXT = bytes(set(range(32)) - set(b"\a\b\t\n\v\f\r\x0e\x0f\x1a\x1b"))
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def require_known_kind(upload: File[bytes], name: str) -> None:
    """Refuse a file of no kind that is kept, or whose content is not of the kind that its name says.

    Args:
        upload: small enough to be read whole; read from its beginning, and left there.
        name: as it is shown to people.

    Raises:
        InvalidInput: it is refused; with a sentence.
    """
    ending = PurePosixPath(_ROTATION.sub("", name.lower())).suffix
    if ending not in _TEXTS and ending not in _BEGINNINGS:
        raise InvalidInput(
            f"“{name}” is of no kind that is kept as evidence. Nothing was added; put it into a ZIP archive"
            " and attach that, give it the ending .txt if it is text, or give a link."
        )
    upload.seek(0)
    content = upload.read()
    upload.seek(0)
    if not (_begins_as(content, ending) or (ending in _TEXTS and _is_text(content))):
        raise InvalidInput(
            f"“{name}” does not hold what its ending, {ending}, says. Nothing was added; put it into a ZIP"
            " archive and attach that, or give it the ending that fits its content."
        )


def _begins_as(content: bytes, ending: str) -> bool:
    beginning = _BEGINNINGS.get(ending)
    return beginning is not None and re.match(beginning, content, re.DOTALL) is not None


def _is_text(content: bytes) -> bool:
    """Whether it can be read as text, in whatever character set."""
    if content.startswith(_UTF_16_MARKS):
        return _is_utf_16(content, "utf-16")
    # A log that logrotate cut (copytruncate) begins with a hole where its program had already written.
    written = content.lstrip(b"\0")
    return bool(written) and (_has_no_controls(written) or _is_unmarked_utf_16(content))


def _is_unmarked_utf_16(content: bytes) -> bool:
    """Whether it is UTF-16 of mostly Latin letters, which have a byte of zero; others look like any data."""
    characters = len(content) // 2
    return any(
        content[upper::2].count(0) * 2 > characters and _is_utf_16(content, encoding)
        for upper, encoding in ((1, "utf-16-le"), (0, "utf-16-be"))
    )


def _is_utf_16(content: bytes, encoding: str) -> bool:
    try:
        return _has_no_controls(content.decode(encoding).encode())
    except UnicodeDecodeError:
        return False


def _has_no_controls(content: bytes) -> bool:
    return len(content.translate(None, _NEVER_IN_TEXT)) == len(content)
