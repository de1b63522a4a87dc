"""The built-in templates: each Markdown file in this folder is one, named by its slug."""

from __future__ import annotations

from importlib import resources


def slugs() -> tuple[str, ...]:
    """Return the slugs of the built-in templates."""
    return tuple(
        sorted(
            file.name.removesuffix(".md")
            for file in resources.files(__name__).iterdir()
            if file.name.endswith(".md")
        )
    )


def source(slug: str) -> str:
    """Return the Markdown of a built-in template.

    Raises:
        KeyError: there is no built-in template with this slug.
    """
    if slug not in slugs():
        raise KeyError(slug)
    return (resources.files(__name__) / f"{slug}.md").read_text(encoding="utf-8")
