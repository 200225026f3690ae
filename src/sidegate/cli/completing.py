"""What the shell offers when a word is half typed."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from sidegate.cli.session import open_store
from sidegate.errors import SidegateError


def complete_repos(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Offer the store's repos, nothing when there is no store to ask."""
    try:
        with open_store(ctx) as store:
            names = [repo.name for repo in store.repos.list()]
    except SidegateError:
        return []  # a message would end up in the middle of the line being typed
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
