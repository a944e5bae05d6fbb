"""``menulens backbone``: bring a backbone into the models bucket."""

from __future__ import annotations

import re
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

app = typer.Typer(help="Backbones: the networks that training starts from.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Backbones: the networks that training starts from."""


@app.command("stage")
def stage_command(
    handle: Annotated[
        str,
        typer.Argument(
            help="efficientnet_lite0, inception_v2, inception_v2_random, a TF-Hub handle, or a SavedModel folder."
        ),
    ],
    environment: Annotated[
        str, typer.Option("--environment", "-e", help="Settings in config/<environment>.toml.")
    ] = "local",
    name: Annotated[
        str | None, typer.Option(help="Stage under this name; settings' training.backbone asks for it.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=32, max=1024, help="Side in pixels; default: training.image_size.")
    ] = None,
) -> None:
    """Bring HANDLE into the models bucket with its SHA-256; one that is there already is left as it is."""
    from menulens.cloud import CloudError, connect  # noqa: PLC0415 (help is to come fast)
    from menulens.settings import SettingsError, settings_of  # noqa: PLC0415
    from menulens.storage import Storage, StorageError  # noqa: PLC0415
    from menulens.training.backbones import BackboneStageError, stage  # noqa: PLC0415

    console = Console()
    started = time.monotonic()
    try:
        if name is not None and not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name):
            raise BackboneStageError(
                f"--name {name}: not allowed; allowed: 1 to 41 small letters, digits and underscores, a letter first."
            )
        settings = settings_of(environment)
        cloud = connect(settings)
        with console.status(f"Staging {escape(handle)}"):
            staged = stage(
                handle,
                storage=Storage(cloud.client("s3")),
                models=f"s3://{cloud.bucket('models')}",
                image_size=image_size or settings.training.image_size,
                name=name,
            )
    except (SettingsError, CloudError, StorageError, BackboneStageError) as error:
        Console(stderr=True).print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)
        raise typer.Exit(1) from None
    what = "staged" if staged.created else "already there"
    console.print(
        f"{staged.name}: {what}, {staged.width} values a photo, {time.monotonic() - started:.1f} s\n"
        f"  {staged.uri}\n  from {staged.origin}",
        soft_wrap=True,
    )
