"""What the commands of ``menulens label`` share: where they print, the environment's option, what a mistake is."""

from __future__ import annotations

from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from menulens.cli._errors import told
from menulens.cli._label_cloud import LabelingError
from menulens.portal.model import PortalError
from menulens.portal.table import TableError
from menulens.settings import SettingsError
from menulens.storage import StorageError

app = typer.Typer(no_args_is_help=True)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Environment = Annotated[str, typer.Option("--environment", "-e", envvar="MENULENS_ENVIRONMENT", help="Which one.")]
JobName = Annotated[str, typer.Argument(help="The job's name.")]
FAILURES = (PortalError, TableError, LabelingError, SettingsError, StorageError, BotoCoreError, ClientError)


def fail(error: Exception, job: str | None = None) -> typer.Exit:
    """Say what went wrong, and return what ends the command.

    Parameters
    ----------
    job
        The name that the user gave.
    """
    said = told(error)
    if job is not None and isinstance(error, PortalError) and error.code == "no-job":
        # The portal does not say so much, as members ask it too; who has credentials for its table may know.
        said = f"There is no job {job!r}. Those there are: menulens label status"
    err.print(f"[bold red]error:[/] {escape(said)}")
    return typer.Exit(1)
