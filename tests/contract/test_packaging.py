"""What ships: each asset, extracted into an empty folder, imports with nothing but the runtime and boto3."""

import hashlib
import io
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from menulens.core import deployed
from menulens.settings import Settings, load_settings
from stacks import packaging, wheels

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
        [sys.executable, "-I", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        # Some read what they are told when they start; their steps tell it.
        env={deployed.ANNOTATORS_GROUP: "annotators", deployed.OWNERS_GROUP: "owners"},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("step", ["check_input", "clean_manifest"])
def should_hold_only_what_the_step_imports(step: str, settings: Settings, tmp_path: Path) -> None:
    packaging.assemble_lambda(step, settings, tmp_path)
    held = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()}
    assert {"handler.py", "settings.json", "menulens/core/deployed.py", "menulens/core/__init__.py"} <= held
    assert not [name for name in held if name.startswith(("menulens/local", "menulens/cli", "menulens/labeling"))]
    assert ("menulens/core/manifest.py" in held) == (step == "clean_manifest")


@pytest.fixture
def hungry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Make a step whose handler is the text given; answers the step's name."""
    monkeypatch.setattr(packaging, "ROOT", tmp_path)
    monkeypatch.setattr(packaging, "LAMBDAS", tmp_path / "lambdas")

    def make(text: str) -> str:
        (tmp_path / "lambdas" / "hungry").mkdir(parents=True)
        (tmp_path / "lambdas" / "hungry" / "handler.py").write_text(text)
        return "hungry"

    return make


def should_refuse_what_an_asset_may_not_hold(settings: Settings, tmp_path: Path, hungry: Callable[[str], str]) -> None:
    step = hungry("import tensorflow\n")
    with pytest.raises(packaging.PackagingError, match=r"lambdas/hungry/handler\.py imports tensorflow.*numpy"):
        packaging.assemble_lambda(step, settings, tmp_path / "out")


@pytest.mark.parametrize("name", sorted(wheels.DISTRIBUTIONS))
def should_bring_a_distribution_that_imports_where_functions_run(
    name: str, settings: Settings, runtime: Path, tmp_path: Path, hungry: Callable[[str], str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    extra = {"PIL": "from PIL import Image", "aws_lambda_powertools": "import aws_lambda_powertools.event_handler"}
    step = hungry(f"import {name}\n{extra.get(name, '')}\ndef handler(event, context):\n    return event\n")
    packaging.assemble_lambda(step, settings, out)
    program = (
        "import sys\n"
        f"sys.path = [p for p in sys.path if 'site-packages' not in p] + [{str(out)!r}, {str(runtime)!r}]\n"
        "import handler\n"
        f"assert handler.{name}.__file__.startswith({str(out)!r}), handler.{name}.__file__\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _stands_in(folder: Path) -> str:
    found = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(f"{file.relative_to(folder)}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def should_bring_wheels_for_the_interpreter_and_machine_of_the_function(tmp_path: Path) -> None:
    wheels.copy_into(tmp_path, wheels.DISTRIBUTIONS.values(), wheels.GRAVITON)
    tags = {
        line.removeprefix("Tag: ")
        for place in tmp_path.glob("*.dist-info/WHEEL")
        for line in place.read_text().splitlines()
        if line.startswith("Tag: ")
    }
    assert len(list(tmp_path.glob("*.dist-info/WHEEL"))) >= len(wheels.DISTRIBUTIONS)
    assert all(tag.endswith("-none-any") or (tag.startswith("cp313-") and "aarch64" in tag) for tag in tags), tags
    libraries = [file for file in tmp_path.rglob("*") if ".so" in file.suffixes]
    assert libraries
    # e_machine of an ELF header, little-endian: 0xB7 is AArch64.
    assert {file.read_bytes()[18:20] for file in libraries} == {b"\xb7\x00"}
    assert not [file.name for file in libraries if "cpython-" in file.name and "cpython-313-aarch64" not in file.name]


@pytest.mark.parametrize("target", [wheels.HERE, wheels.GRAVITON], ids=["here", "graviton"])
def should_give_the_same_bytes_for_the_same_lock(
    target: wheels.Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = []
    for turn in ("first", "second"):
        wheels._installed.cache_clear()
        monkeypatch.setattr(wheels, "STORE", tmp_path / "store" / turn)
        places.append(tmp_path / turn)
        wheels.copy_into(places[-1], ["numpy", "pydantic"], target)
    wheels._installed.cache_clear()
    assert _stands_in(places[0]) == _stands_in(places[1])
    kept = {file.relative_to(places[0]).as_posix() for file in places[0].rglob("*")}
    assert "numpy/__init__.py" in kept
    assert not [name for name in kept if name.endswith((".pyi", "__pycache__", "/tests", "/RECORD"))]


def should_say_which_lock_lacks_a_distribution(tmp_path: Path) -> None:
    with pytest.raises(wheels.WheelsError, match=r"lambda\.txt does not hold torch.*make lock"):
        wheels.copy_into(tmp_path, ["torch"], wheels.HERE)


def should_refuse_an_asset_that_lambda_would_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "MAX_UNPACKED", 1_000_000)
    with pytest.raises(wheels.WheelsError, match=r"numpy: [0-9,]+ bytes unpacked; Lambda takes 1,000,000"):
        wheels.copy_into(tmp_path, ["numpy"], wheels.HERE)


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
    shipped = deployed.cleaning_rules(settings.model_dump(mode="json"), "the-photos")
    assert shipped == settings.cleaning_rules("the-photos")
    assert shipped.fingerprint() == settings.cleaning_rules("the-photos").fingerprint()
