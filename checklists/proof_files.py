"""Which files may be kept as evidence: known by their ending, and their content has to fit it.

They are never displayed here, only downloaded; whoever opens one gets no program, and nothing in disguise.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from django.core.files import File

from deployctl.errors import InvalidInput

# How files of a kind begin. PNG: RFC 2083, 3.1. JPEG: ITU-T T.81, B.1.1.3. GIF: GIF89a, 17. WebP: RFC 9649,
# 2.4. PDF: ISO 32000-1, 7.5.2. ZIP, which office documents are: APPNOTE.TXT, 4.3.7, 4.3.16 if empty.
# gzip: RFC 1952, 2.3.1.
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_BEGINNINGS: dict[str, tuple[bytes, ...]] = {
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".gif": (b"GIF87a", b"GIF89a"),
    ".webp": (b"RIFF",),
    ".pdf": (b"%PDF-",),
    ".gz": (b"\x1f\x8b\x08",),
    **dict.fromkeys([".zip", ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp"], _ZIP),
}
_TEXTS = frozenset(
    [
        *(".txt", ".log", ".md", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini"),
        *(".conf", ".sql", ".html", ".htm", ".diff", ".patch", ".eml"),
    ]
)
# For the `accept` of a form: what browsers offer to choose from.
ACCEPTED = ",".join(sorted(_TEXTS | _BEGINNINGS.keys()))
# Of the characters that control something, what texts and logs of programs hold: line ends, tabs, colours.
_NEVER_IN_TEXT = bytes(set(range(32)) - set(b"\t\n\v\f\r\b\x1b"))
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def require_known_kind(upload: File[bytes], name: str) -> None:
    """Refuse a file of no kind that is kept, or whose content is not of the kind that its name says.

    Args:
        upload: small enough to be read whole; read from its beginning, and left there.
        name: as it is shown to people.

    Raises:
        InvalidInput: it is refused; with a sentence.
    """
    ending = PurePosixPath(name.lower()).suffix
    if ending not in _TEXTS and ending not in _BEGINNINGS:
        raise InvalidInput(
            f"“{name}” is of no kind that is kept as evidence. Nothing was added; attach text, a picture, a"
            " PDF, an office document or a ZIP archive, or give a link."
        )
    upload.seek(0)
    content = upload.read()
    upload.seek(0)
    if not (_is_text(content) if ending in _TEXTS else _begins_as(content, ending)):
        raise InvalidInput(
            f"“{name}” does not hold what its ending, {ending}, says. Nothing was added; give it the ending"
            " that fits its content, or save it again."
        )


def _begins_as(content: bytes, ending: str) -> bool:
    # What RIFF holds is said behind its length: sound and video begin alike.
    return content.startswith(_BEGINNINGS[ending]) and (ending != ".webp" or content[8:12] == b"WEBP")


def _is_text(content: bytes) -> bool:
    """Whether it can be read as text, in whatever character set; UTF-16 only with the mark of Windows."""
    if content.startswith(_UTF_16):
        try:
            content = content.decode("utf-16").encode()
        except UnicodeDecodeError:
            return False
    return len(content.translate(None, _NEVER_IN_TEXT)) == len(content)
