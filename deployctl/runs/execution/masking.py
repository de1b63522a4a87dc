"""Mask secrets in text, in all their encodings and across chunks of output."""

from __future__ import annotations

import base64
import json
import re
import shlex
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "•••"
# Shorter secrets are not masked: masking every "a" would make the log unreadable.
MIN_SECRET_LENGTH = 4


class Masker:
    """Masks the secrets of one run in all their encodings. Thread-safe."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._encodings: tuple[str, ...] = ()
        self._pattern: re.Pattern[str] | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Add a secret to mask."""
        with self._lock:
            found = {*self._encodings, *encodings(secret)}
            # Longest first: of two encodings with the same start, the longer one must match.
            self._encodings = tuple(sorted(found, key=len, reverse=True))
            if self._encodings:
                # The lookahead finds overlapping matches.
                self._pattern = re.compile(f"(?=({'|'.join(map(re.escape, self._encodings))}))")

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the spans of secrets in a text; overlapping spans are joined."""
        current, pattern = self._encodings, self._pattern
        # Most text has no secret, and a plain search is many times faster than the pattern.
        if pattern is None or not any(encoding in text for encoding in current):
            return []
        joined: list[tuple[int, int]] = []
        for match in pattern.finditer(text):
            start, end = match.span(1)
            if joined and start < joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((start, end))
        return joined

    def mask(self, text: str) -> str:
        """Return a text with secrets masked."""
        return _cut_out(text, self.spans(text))

    def mask_json(self, value: Any) -> Any:
        """Return a JSON value with secrets masked, keys included."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, Mapping):
            return {self.mask(str(name)): self.mask_json(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.mask_json(item) for item in value]
        return value

    def partial_match_start(self, text: str) -> int:
        """Return the position where the text may end in the start of a secret, or the length of the text."""
        earliest = len(text)
        for encoding in self._encodings:
            for length in range(min(len(encoding) - 1, len(text)), 0, -1):
                if text.endswith(encoding[:length]):
                    earliest = min(earliest, len(text) - length)
                    break
        return earliest


class MaskedStream:
    """Masks a text that arrives in chunks. Holds back only the possible start of a secret."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = ""
        # The number of held characters that belong to a mask already returned.
        self._covered = 0

    def feed(self, text: str) -> str:
        """Return the masked text so far, except the possible start of a secret."""
        return self._give(text, final=False)

    def close(self) -> str:
        """Return the rest."""
        return self._give("", final=True)

    def _give(self, text: str, *, final: bool) -> str:
        text = self._held + text
        cut = len(text) if final else self._masker.partial_match_start(text)
        spans = _joined([(0, self._covered)] if self._covered else [], self._masker.spans(text))
        shown = _cut_out(text[:cut], [(start, min(end, cut)) for start, end in spans if start < cut])
        if self._covered and cut:
            shown = shown.removeprefix(MASK)
        # Spans whose mask was returned, now or before, and that reach into the held text.
        begun = [end for start, end in spans if start < cut or (start == 0 and self._covered)]
        self._covered = max([0, *(end - cut for end in begun)])
        self._held = text[cut:]
        return shown


def encodings(secret: str) -> set[str]:
    """Return the encodings of a secret: raw, percent, base64, and quoted for SQL, shell, JSON and libpq."""
    if len(secret) < MIN_SECRET_LENGTH:
        return set()
    backslashed = secret.replace("\\", "\\\\")
    found = {
        secret,
        quote(secret, safe=""),
        quote(secret, safe="").replace("%", "%25"),
        quote(secret),
        quote_plus(secret),
        re.sub(r"%[0-9A-F]{2}", lambda code: code[0].lower(), quote(secret, safe="")),
        secret.replace("'", "''"),
        secret.replace('"', '""'),
        backslashed,
        backslashed.replace("'", "\\'"),
        backslashed.replace('"', '\\"'),
        backslashed.replace(":", "\\:"),
        shlex.quote(secret).strip("'"),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        # The log removes control characters before it masks.
        "".join(character for character in secret if character.isprintable()),
        *_base64(secret.encode()),
    }
    return {encoding for encoding in found if len(encoding) >= MIN_SECRET_LENGTH}


def _base64(secret: bytes) -> set[str]:
    """Return the base64 characters of a secret that do not depend on its position in a longer text.

    Three bytes become four characters, so there are three positions. Characters that also encode a
    neighbouring byte are left out, except for the secret on its own.
    """
    found = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        found.add(encode(secret).decode().rstrip("="))
        for before in range(3):
            text = encode(b"\0" * before + secret).decode().rstrip("=")
            first = (0, 2, 3)[before]
            complete = (before + len(secret)) * 8 // 6
            # Fewer than eight characters would match by chance.
            if complete - first >= 8:
                found.add(text[first:complete])
    return found


def _joined(first: list[tuple[int, int]], rest: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans with `first` in front, joined where it overlaps the first of them."""
    if first and rest and rest[0][0] < first[0][1]:
        return [(first[0][0], max(first[0][1], rest[0][1])), *rest[1:]]
    return first + rest


def _cut_out(text: str, spans: list[tuple[int, int]]) -> str:
    parts, position = [], 0
    for start, end in spans:
        parts += [text[position:start], MASK]
        position = end
    return "".join(parts) + text[position:]
