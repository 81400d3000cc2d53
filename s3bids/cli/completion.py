"""What a shell offers when Tab is pressed: studies that can be named without asking a server, files, directories."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

#: Ends of the names of study files.
_STUDY_FILES = (".yaml", ".yml")


def complete_studies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer what STUDY can be: shipped studies, and study files of the working directory; else let the shell look.

    A shell takes names from us or looks for files itself, not both: so the study files are named here.
    """
    if ctx.params.get("plan") or ctx.params.get("locked"):
        # The plan says which study it is, and what stands here is DIR.
        return complete_directories(ctx, param, incomplete)
    from ..config.shipped import shipped_studies

    here = sorted(path.name for ending in _STUDY_FILES for path in Path().glob(f"*{ending}"))
    found = [CompletionItem(name) for name in (*shipped_studies(), *here) if name.startswith(incomplete)]
    return found or complete_files(ctx, param, incomplete)


def complete_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell look for files and directories."""
    del ctx, param
    return [CompletionItem(incomplete, type="file")]


def complete_directories(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell look for directories."""
    del ctx, param
    return [CompletionItem(incomplete, type="dir")]


__all__ = ["complete_directories", "complete_files", "complete_studies"]
