"""Allowlist of evidence file types: the extension must be known, and the content must match it.

People who download a file can then tell from its name which program opens it. This doesn't make files
harmless: an HTML page may contain scripts, an Office document macros, an archive anything. deployctl doesn't
scan for malware; it serves files only as downloads without a media type (`checklists.views.proofs`).
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
# Office documents are ZIP archives; encrypted ones use the older container format: MS-OFFCRYPTO, 1.3.
_OFFICE = rb"%b|%b" % (_ZIP, _OLE)

# Patterns for the first bytes of each type ("magic numbers").
_MAGIC: dict[str, bytes] = {
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
_TEXT_EXTENSIONS = frozenset(
    [
        *(".txt", ".md", ".html", ".htm", ".eml", ".log", ".out", ".err", ".sql", ".diff", ".patch"),
        *(".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml"),
        *(".ini", ".conf", ".cfg", ".properties", ".asc", ".sig"),
    ]
)
# Suffixes that logrotate adds after the extension: a number or a date.
_ROTATION = re.compile(r"([.-]\d+)+$")
# The `accept` attribute of a file input.
ACCEPTED = ",".join([*sorted(_TEXT_EXTENSIONS | _MAGIC.keys()), *(f".{number}" for number in range(1, 10))])
# All control characters except those found in texts, logs and terminal recordings: bell, backspace, tabs,
# line ends, shift out and in, the DOS end-of-file character, and escape (colors).
_NOT_IN_TEXT = bytes(set(range(32)) - set(b"\a\b\t\n\v\f\r\x0e\x0f\x1a\x1b"))
_UTF_16_BOMS = (b"\xff\xfe", b"\xfe\xff")


def require_accepted_type(upload: File[bytes], name: str) -> None:
    """Raise InvalidInput if the file's extension isn't accepted, or its content doesn't match the extension.

    Args:
        upload: small enough to be read whole; it is rewound afterwards.
        name: the file's name as people see it.
    """
    extension = PurePosixPath(_ROTATION.sub("", name.lower())).suffix
    if extension not in _TEXT_EXTENSIONS and extension not in _MAGIC:
        raise InvalidInput(
            f"The file type of “{name}” isn't accepted as evidence. Nothing was added; attach it in a ZIP"
            " archive, rename it to .txt if it is text, or add a link."
        )
    upload.seek(0)
    content = upload.read()
    upload.seek(0)
    if not (_has_magic(content, extension) or (extension in _TEXT_EXTENSIONS and _is_text(content))):
        raise InvalidInput(
            f"The content of “{name}” doesn't match its extension {extension}. Nothing was added; attach it"
            " in a ZIP archive, or rename it with the correct extension."
        )


def _has_magic(content: bytes, extension: str) -> bool:
    magic = _MAGIC.get(extension)
    return magic is not None and re.match(magic, content, re.DOTALL) is not None


def _is_text(content: bytes) -> bool:
    """Return True if the content is text in any character set."""
    if content.startswith(_UTF_16_BOMS):
        return _is_utf_16(content, "utf-16")
    # A log truncated by logrotate (copytruncate) may begin with zero bytes.
    text = content.lstrip(b"\0")
    return bool(text) and (_has_no_controls(text) or _is_utf_16_without_bom(content))


def _is_utf_16_without_bom(content: bytes) -> bool:
    """Return True for UTF-16 of mostly Latin letters; other scripts look like binary data."""
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
    return len(content.translate(None, _NOT_IN_TEXT)) == len(content)
