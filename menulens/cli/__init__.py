"""The `menulens` command: the same verbs on the local cloud and in an account."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from menulens import __version__
from menulens.cli.backbone import app as backbone_app
from menulens.cli.clean import clean as clean_command
from menulens.cli.embed import embed as embed_command
from menulens.cli.experiment import experiment as experiment_command
from menulens.cli.local import app as local_app
from menulens.cli.similar import similar as similar_command
from menulens.cli.tag import tag as tag_command
from menulens.cloud import CloudError
from menulens.settings import SettingsError

app = typer.Typer(
    help="Menu photos in; labels, a classifier, feature vectors and similar photos out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(local_app, name="local", help="The local cloud: the whole of menulens on this machine.")
app.add_typer(backbone_app, name="backbone", help="The network that turns a photo into a feature vector.")
app.command("clean")(clean_command)
app.command("experiment")(experiment_command)
app.command("embed")(embed_command)
app.command("similar")(similar_command)
app.command("tag")(tag_command)


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
