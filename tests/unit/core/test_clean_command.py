"""``menulens clean``, as a person types it: files, exit codes, messages."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from menulens.cli import app
from tests.unit.core.generators.manifests import any_manifest

PROJECT = Path(__file__).parents[3]
CONFIG = PROJECT / "config/local.toml"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "menus-7.manifest"
    path.write_bytes(any_manifest(180) + b"not json\n")
    return path


def run(tmp_path: Path, *given: object, config: Path | None = None) -> Result:
    arguments = [
        "clean",
        *map(str, given),
        "--config",
        str(config or some_config(tmp_path)),
        "--out",
        f"{tmp_path}/out",
    ]
    # Wide, so that no message is broken into lines.
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "400", "NO_COLOR": "1"})


def some_config(tmp_path: Path) -> Path:
    """Return the local environment's settings, with the categories that the made manifests have."""
    text = CONFIG.read_text(encoding="utf-8")
    for key in ("fruit", "vegetable"):
        start = text.index(f'[[categories]]\nkey = "{key}"')
        text = text[:start] + text[text.index("[[categories]]", start + 1) :]
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def should_write_a_dataset_and_tell_what_was_kept(tmp_path: Path, manifest: Path) -> None:
    done = run(tmp_path, manifest)
    assert done.exit_code == 0, done.output
    assert "180 of 181 lines kept" in " ".join(done.output.split())
    assert "broken-json" in done.output
    card = json.loads((tmp_path / "out/card.json").read_bytes())
    assert card["dataset"].startswith("menus-7-")
    assert (card["kept"], card["rejected"], card["reasons"]) == (180, 1, {"broken-json": 1})
    reject = json.loads((tmp_path / "out/rejects.jsonl").read_bytes())
    assert (reject["line"], reject["original"]) == (181, "not json")
    kept = [(tmp_path / f"out/{side}.manifest").read_bytes().splitlines() for side in ("train", "eval")]
    assert sorted(kept[0] + kept[1]) == sorted(any_manifest(180).splitlines())


def should_say_what_is_missing_when_there_is_too_little(tmp_path: Path, manifest: Path) -> None:
    manifest.write_bytes(any_manifest(6))
    done = run(tmp_path, manifest)
    assert done.exit_code == 1
    assert "Too little to train with, nothing published. Category 'meal' has 2 photos" in done.stderr
    assert not (tmp_path / "out/card.json").exists()
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".manifest") and path != manifest]


def should_say_that_a_manifest_is_not_there(tmp_path: Path) -> None:
    done = run(tmp_path, tmp_path / "nowhere.manifest")
    assert (done.exit_code, done.stderr.strip()) == (1, f"{tmp_path}/nowhere.manifest: no such file.")


def should_reject_every_line_when_the_attribute_is_another(tmp_path: Path, manifest: Path) -> None:
    done = run(tmp_path, manifest, "--attribute", "genre")
    assert done.exit_code == 1
    assert "Category 'meal' has 0 photos" in done.stderr
    assert "unlabeled: 180" in done.stderr


@pytest.mark.parametrize("attribute", ["genre-metadata", "photo-ref", "a b", ""])
def should_refuse_an_attribute_that_can_be_none(tmp_path: Path, manifest: Path, attribute: str) -> None:
    done = run(tmp_path, manifest, "--attribute", attribute)
    assert done.exit_code == 1
    assert f"--attribute {attribute!r}: not allowed; allowed: letters, digits" in done.stderr


def should_ask_which_bucket_is_ours(tmp_path: Path, manifest: Path) -> None:
    manifest.write_bytes(any_manifest(90) + any_manifest(3, offset=90).replace(b"photos-of-menus", b"another-bucket"))
    done = run(tmp_path, manifest)
    assert done.exit_code == 1
    assert "several buckets (another-bucket, photos-of-menus)" in done.stderr
    told = run(tmp_path, manifest, "--photo-bucket", "photos-of-menus")
    assert told.exit_code == 0, told.output
    assert json.loads((tmp_path / "out/card.json").read_bytes())["reasons"] == {"foreign-photo": 3}


def should_name_the_settings_that_are_wrong(tmp_path: Path, manifest: Path) -> None:
    done = run(tmp_path, manifest, config=tmp_path / "nowhere.toml")
    assert done.exit_code == 1
    assert "nowhere.toml" in done.stderr


def should_reindex_only_when_asked(tmp_path: Path, manifest: Path) -> None:
    manifest.write_bytes(any_manifest(180).replace(b'"menu-category":0,', b'"menu-category":9,'))
    assert "label-class-mismatch: 60" in run(tmp_path, manifest).stderr
    done = run(tmp_path, manifest, "--reindex")
    assert done.exit_code == 0, done.output
    assert "60 lines re-indexed by their class-name." in done.output
