"""Split the output of programs into clean lines, without escape sequences and control characters."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from deployctl.runs.execution.masking import MaskedStream, Masker
from deployctl.text import pluralize

MAX_LINE_BYTES = 16 * 1024
# Longer text is not an escape sequence. ECMA-48 sets no limit; real ones have about 20 characters.
MAX_SEQUENCE_LENGTH = 1024

# ECMA-48: CSI, OSC (ended by BEL or ST) and the other string sequences, then the short ones.
SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-OQ-WYZ`-~]"
)
SEQUENCE_BEGUN = re.compile(r"[\x1b\x90\x98\x9b\x9d-\x9f][^\x07\x1b]*\x1b?\Z")
# Control characters except tab and line feed, and characters that change the text direction.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Cleaner:
    """Removes escape sequences and control characters from a text that arrives in chunks."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the clean text so far, except a part that the next chunk may still change."""
        text = SEQUENCE.sub("", self._held + text)
        begun = SEQUENCE_BEGUN.search(text)
        cut = len(text)
        if begun is not None and len(text) - begun.start() <= MAX_SEQUENCE_LENGTH:
            cut = begun.start()
        elif text.endswith("\r"):  # its line feed may be on the way
            cut -= 1
        self._held = text[cut:]
        return clean(text[:cut])

    def close(self) -> str:
        """Return the rest."""
        rest, self._held = self._held, ""
        return clean(rest)


class LineReader:
    """Splits one output stream of a program into masked lines.

    Args:
        masker: masks the secrets of the run.
        take: called with each line, without its line break.
    """

    def __init__(self, masker: Masker, take: Callable[[str], None]) -> None:
        # Invalid UTF-8 becomes U+FFFD.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._cleaner = Cleaner()
        self._masked = MaskedStream(masker)
        self._take = take
        self._line = ""
        self._left_out = 0

    def feed(self, chunk: bytes) -> None:
        """Read a chunk."""
        self._split(self._masked.feed(self._cleaner.feed(self._decoder.decode(chunk))))

    def close(self) -> None:
        """Read the end, including a last line without a line break."""
        rest = self._cleaner.feed(self._decoder.decode(b"", final=True)) + self._cleaner.close()
        self._split(self._masked.feed(rest) + self._masked.close())
        if self._line:
            self._end_line()

    def _split(self, text: str) -> None:
        *complete, rest = text.split("\n")
        for part in complete:
            self._extend(part)
            self._end_line()
        self._extend(rest)

    def _extend(self, part: str) -> None:
        # Even a line of 10 MB takes only 16 KiB of memory.
        room = MAX_LINE_BYTES - len(self._line)
        self._line += part[:room]
        self._left_out += max(len(part) - room, 0)

    def _end_line(self) -> None:
        self._take(cap(self._line, self._left_out))
        self._line, self._left_out = "", 0


def clean(text: str) -> str:
    """Return a text without control characters except tab and line feed; a lone CR ends a line."""
    text = SEQUENCE.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return CONTROL.sub("", text)


def cap(line: str, left_out: int = 0) -> str:
    """Return a line truncated to 16 KiB, with the number of omitted characters.

    Args:
        line: the line, or its beginning.
        left_out: the number of characters that were omitted earlier.
    """
    encoded = line.encode("utf-8", errors="replace")
    kept = (
        line if len(encoded) <= MAX_LINE_BYTES else encoded[:MAX_LINE_BYTES].decode("utf-8", errors="ignore")
    )
    left_out += len(line) - len(kept)
    return f"{kept} … ({pluralize(left_out, 'more character')})" if left_out else kept
