"""`deployctl completion`: completion of commands and options in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands in a shell.

    \b
    bash: eval "$(deployctl completion bash)"            in ~/.bashrc
    zsh:  eval "$(deployctl completion zsh)"             in ~/.zshrc
    fish: deployctl completion fish | source             in ~/.config/fish/config.fish
    """
    found = get_completion_class(shell)
    if found is None:  # click knows the three; only a very old one would not
        raise click.ClickException(f"This version of click cannot complete in {shell}.")
    root = ctx.find_root().command
    click.echo(found(root, {}, "deployctl", "_DEPLOYCTL_COMPLETE").source())
