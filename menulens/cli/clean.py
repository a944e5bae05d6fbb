"""``menulens clean``: a manifest becomes a dataset, on this machine, with or without a cloud."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from menulens.cloud import CloudError, connect
from menulens.core.keys import SOURCE_REF
from menulens.core.manifest import Cleaned, DatasetTooSmallError, ManifestError
from menulens.core.manifest import clean as clean_manifest
from menulens.settings import Settings, SettingsError, load_settings
from menulens.storage import Storage, StorageError, is_s3, parse_s3_uri


def clean(  # noqa: PLR0917 (typer reads the options from the signature)
    manifest: Annotated[str, typer.Argument(help="The augmented manifest: a path or s3://bucket/key.")],
    attribute: Annotated[
        str | None, typer.Option(help="The manifest key that holds the label; the settings' if not given.")
    ] = None,
    config: Annotated[
        Path, typer.Option(dir_okay=False, help="Settings file: categories, split, photo prefix.")
    ] = Path("config/local.toml"),
    out: Annotated[str, typer.Option(help="Folder (or s3:// prefix) for the four files.")] = "dataset",
    photo_bucket: Annotated[
        str | None,
        typer.Option(help="Photos elsewhere are rejected. The settings' if not given, else the one the lines name."),
    ] = None,
    reindex: Annotated[
        bool, typer.Option("--reindex", help="Replace label indexes that disagree with their class-name.")
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="First part of the dataset's id; the manifest's name if not given.")
    ] = (None),
) -> None:
    """Clean a manifest into train.manifest, eval.manifest, rejects.jsonl and card.json."""
    try:
        settings = load_settings(config)
        storage = Storage(connect(settings).client("s3") if is_s3(manifest) or is_s3(out) else None)
        if photo_bucket is not None and "/" in photo_bucket:
            raise SettingsError(f"--photo-bucket {photo_bucket}: a bucket's name alone is due, as in my-photos.")
        bucket = photo_bucket or settings.photos.bucket or _only_bucket(storage, manifest)
        rules = settings.cleaning_rules(bucket)
        if attribute is not None:
            rules = replace(rules, label_attribute=_usable(attribute, settings))
        cleaned = clean_manifest(manifest, rules, out, store=storage, name=name, reindex=reindex)
    except (SettingsError, StorageError, CloudError, ManifestError, DatasetTooSmallError, OSError) as error:
        Console(stderr=True).print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(1) from None
    _show(cleaned)


def _usable(attribute: str, settings: Settings) -> str:
    """Return the attribute if settings would allow it."""
    values = settings.labeling.model_dump() | {"label_attribute": attribute}
    try:
        return type(settings.labeling).model_validate(values).label_attribute
    except ValueError:
        raise SettingsError(
            f"--attribute {attribute!r}: not allowed; allowed: letters, digits and single hyphens between them, at "
            "most 127, not ending in -metadata or -ref."
        ) from None


def _only_bucket(storage: Storage, manifest: str) -> str:
    """Return the bucket that the lines name, if they name one only."""
    buckets: set[str] = set()
    for line in storage.lines(manifest):
        bucket = _bucket_of(line)
        if bucket:
            buckets.add(bucket)
        if len(buckets) > 1:
            raise ManifestError(
                f"{manifest}: its lines name several buckets ({', '.join(sorted(buckets))}); "
                "say which one is yours: --photo-bucket NAME."
            )
    if not buckets:
        raise ManifestError(f"{manifest}: no line names a photo in S3; a manifest has one JSON object a line.")
    return buckets.pop()


def _bucket_of(line: bytes) -> str | None:
    """Return the bucket of a line's photo; None where there is none to be read."""
    try:
        value: Any = json.loads(line)
        return parse_s3_uri(value[SOURCE_REF]).bucket
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, StorageError):
        return None  # cleaning rejects the line, with its reason


def _show(cleaned: Cleaned) -> None:
    """Print what was kept and what was rejected."""
    card = cleaned.card
    console = Console()
    kept = Table(title=f"{cleaned.dataset}: {card['kept']:,} of {card['source']['lines']:,} lines kept")
    for heading in ("category", "training", "evaluation"):
        kept.add_column(heading, justify="left" if heading == "category" else "right")
    for key in card["classes"]:
        kept.add_row(key, f"{card['counts']['train'][key]:,}", f"{card['counts']['eval'][key]:,}")
    console.print(kept)
    if card["reasons"]:
        rejected = Table(title=f"{card['rejected']:,} lines rejected")
        rejected.add_column("reason")
        rejected.add_column("lines", justify="right")
        for code, count in card["reasons"].items():
            rejected.add_row(code, f"{count:,}")
        console.print(rejected)
    if card["reindexed"]:
        console.print(f"{card['reindexed']:,} lines re-indexed by their class-name.")
    console.print(f"Written to {cleaned.folder}/", markup=False)
