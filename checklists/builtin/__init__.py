"""The checklists that come with the product: each Markdown file in this folder is one, named by its slug."""

from __future__ import annotations

from importlib import resources


def slugs() -> tuple[str, ...]:
    """The names of the built-in templates."""
    return tuple(
        sorted(
            file.name.removesuffix(".md")
            for file in resources.files(__name__).iterdir()
            if file.name.endswith(".md")
        )
    )


def source(slug: str) -> str:
    """The Markdown of a built-in template.

    Raises:
        KeyError: if there is none of this name.
    """
    if slug not in slugs():
        raise KeyError(slug)
    return (resources.files(__name__) / f"{slug}.md").read_text(encoding="utf-8")
