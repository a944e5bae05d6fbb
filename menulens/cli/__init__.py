"""The `menulens` command: the same verbs on the local cloud and in an account."""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from menulens import __version__
from menulens.cli._errors import UNREACHED, told
from menulens.cli.backbone import app as backbone_app
from menulens.cli.clean import clean as clean_command
from menulens.cli.embed import embed as embed_command
from menulens.cli.experiment import experiment as experiment_command
from menulens.cli.label import app as label_app
from menulens.cli.local import app as local_app
from menulens.cli.similar import similar as similar_command
from menulens.cli.tag import tag as tag_command
from menulens.cloud import LOCAL_STATE, CloudError
from menulens.settings import SettingsError
from menulens.storage import StorageError

app = typer.Typer(
    help="Menu photos in; labels, a classifier, feature vectors and similar photos out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(local_app, name="local", help="The local cloud: the whole of menulens on this machine.")
app.add_typer(backbone_app, name="backbone", help="The network that turns a photo into a feature vector.")
app.add_typer(label_app, name="label", help="Labeling jobs: open, watch, pause, review, exchange, verify.")
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
    """Run the command; a mistake of the user is a message, a fault of ours another, with its traceback in a file."""
    said = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        app()
    except (SettingsError, CloudError, StorageError, *UNREACHED) as error:
        said.print(f"[bold red]error:[/] {escape(told(error))}")
        sys.exit(1)
    except Exception as error:
        said.print(f"[bold red]error:[/] {escape(unexpected(error))}")
        sys.exit(1)


def unexpected(error: Exception) -> str:
    """Return one line about an error that nobody foresaw; its traceback goes to a file below the state folder."""
    log = LOCAL_STATE / "error.log"
    trace = "".join(traceback.format_exception(error))
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(trace, encoding="utf-8")
    except OSError:  # the state folder itself may be what is wrong
        log = Path(tempfile.gettempdir()) / "menulens-error.log"
        log.write_text(trace, encoding="utf-8")
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return f"{type(error).__name__}: {first[:500]}\nThe traceback is in {log}"
