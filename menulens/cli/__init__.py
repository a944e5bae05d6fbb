"""The `menulens` command: the same verbs on the local cloud and in an account."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from menulens import __version__
from menulens.cli import backbone, clean, embed, experiment, local, similar, tag
from menulens.cloud import CloudError
from menulens.settings import SettingsError

app = typer.Typer(
    help="Menu photos in; labels, a classifier, feature vectors and similar photos out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(local.app, name="local", help="The local cloud: the whole of menulens on this machine.")
app.add_typer(backbone.app, name="backbone", help="The network that turns a photo into a feature vector.")
app.command("clean")(clean.clean)
app.command("experiment")(experiment.experiment)
app.command("embed")(embed.embed)
app.command("similar")(similar.similar)
app.command("tag")(tag.tag)


@app.command("version")
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command; a mistake of the user is a message, not a traceback."""
    try:
        app()
    except (SettingsError, CloudError) as error:
        Console(stderr=True, highlight=False).print(f"[bold red]error:[/] {escape(str(error))}")
        sys.exit(1)
