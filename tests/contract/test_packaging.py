"""What ships: each asset, extracted into an empty folder, imports with nothing but the runtime and boto3."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import boto3
import pytest

from menulens.settings import Settings, load_settings
from stacks import packaging

STEPS = sorted(handler.parent.name for handler in packaging.LAMBDAS.glob("*/handler.py"))
# boto3 is in the Lambda runtime; its folder here holds other packages too, which must not be found by accident.
RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(packaging.ROOT / "config" / "local.toml")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the Lambda runtime brings, and nothing else."""
    folder = tmp_path_factory.mktemp("runtime")
    installed = Path(boto3.__file__).parent.parent
    for name in RUNTIME:
        found = installed / name if (installed / name).is_dir() else installed / f"{name}.py"
        (folder / found.name).symlink_to(found)
    return folder


@pytest.mark.parametrize("step", STEPS)
def should_import_in_an_empty_folder(step: str, settings: Settings, runtime: Path, tmp_path: Path) -> None:
    packaging.assemble_lambda(step, settings, tmp_path)
    program = (
        "import sys\n"
        f"sys.path = [p for p in sys.path if 'site-packages' not in p] + [{str(tmp_path)!r}, {str(runtime)!r}]\n"
        "import handler\n"
        "assert callable(handler.handler)\n"
        f"ours = [m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'menulens']\n"
        f"assert all(f.startswith({str(tmp_path)!r}) for f in ours), ours\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("step", ["check_input", "clean_manifest"])
def should_hold_only_what_the_step_imports(step: str, settings: Settings, tmp_path: Path) -> None:
    packaging.assemble_lambda(step, settings, tmp_path)
    held = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()}
    assert {"handler.py", "settings.json", "menulens/core/deployed.py", "menulens/core/__init__.py"} <= held
    assert not [name for name in held if name.startswith(("menulens/local", "menulens/cli", "menulens/labeling"))]
    assert ("menulens/core/manifest.py" in held) == (step == "clean_manifest")


def should_refuse_what_the_runtime_does_not_have(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lambdas" / "hungry").mkdir(parents=True)
    (tmp_path / "lambdas" / "hungry" / "handler.py").write_text("import numpy\n")
    monkeypatch.setattr(packaging, "ROOT", tmp_path)
    monkeypatch.setattr(packaging, "LAMBDAS", tmp_path / "lambdas")
    with pytest.raises(packaging.PackagingError, match=r"lambdas/hungry/handler\.py imports numpy"):
        packaging.assemble_lambda("hungry", settings, tmp_path / "out")


def should_name_a_step_without_handler(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(packaging.PackagingError, match=r"lambdas/nothing/handler\.py: no such handler"):
        packaging.assemble_lambda("nothing", settings, tmp_path)


def should_pack_the_training_source_into_the_same_bytes_every_time(tmp_path: Path) -> None:
    first, second = tmp_path / "1.tar.gz", tmp_path / "2.tar.gz"
    packaging.assemble_training_source(first)
    packaging.assemble_training_source(second)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(first.read_bytes())) as archive:
        members = archive.getmembers()
    names = [member.name for member in members]
    assert "train.py" in names
    assert names == sorted(names)
    assert {(member.mtime, member.uid, member.gid, member.mode) for member in members} == {(0, 0, 0, 0o644)}
    assert not [name for name in names if "__pycache__" in name]


def should_ship_cleaning_rules_equal_to_those_of_the_settings(settings: Settings) -> None:
    from menulens.core import deployed  # noqa: PLC0415

    shipped = deployed.cleaning_rules(settings.model_dump(mode="json"), "the-photos")
    assert shipped == settings.cleaning_rules("the-photos")
    assert shipped.fingerprint() == settings.cleaning_rules("the-photos").fingerprint()
