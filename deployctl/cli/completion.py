"""`deployctl completion`: shell completion of commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a shell completion script.

    Add one of these lines to the file on the right:

    \b
    bash: eval "$(deployctl completion bash)"            in ~/.bashrc
    zsh:  eval "$(deployctl completion zsh)"             in ~/.zshrc
    fish: deployctl completion fish | source             in ~/.config/fish/config.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"The installed version of click doesn't support completion in {shell}.")
    root = ctx.find_root().command
    click.echo(found(root, {}, "deployctl", "_DEPLOYCTL_COMPLETE").source())
