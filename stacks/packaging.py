"""The only place that assembles deployable code: Lambda assets and the training source.

A Lambda asset holds the step's ``handler.py``, the modules of ``menulens`` that it imports (found by following the
imports, so that an asset changes only when its code does), the wheels of the distributions that these import
(:mod:`stacks.wheels`) and ``settings.json``. Nothing is committed twice, and nothing else is needed at run time but the
standard library and boto3, which the runtime brings.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import io
import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from menulens.core.deployed import SETTINGS_FILE
from menulens.settings import Settings
from stacks import wheels

ROOT = Path(__file__).resolve().parent.parent
LAMBDAS = ROOT / "lambdas"
TRAINING_SOURCE = ROOT / "training_src"
PAGE = ROOT / "portal"
HANDLER = "handler.handler"
SETTINGS_SOURCE = "menulens/core/deployed.py"
LOCAL = "local"
IN_THE_RUNTIME = frozenset({"boto3", "botocore"})
"""Distributions that the Lambda runtime brings."""


class PackagingError(Exception):
    """Code that can't be deployed as it stands; the message names the file and what it needs."""


@contextmanager
def lambda_code(step: str, settings: Settings, beside: Mapping[str, Path] | None = None) -> Iterator[lambda_.AssetCode]:
    """Give the code of a step's function, for as long as the function is made: CDK copies what it takes.

    Parameters
    ----------
    step
        A folder of ``lambdas/``.
    settings
        Written beside the handler, for the code that reads them.
    beside
        Folders that go with it: name in the asset to place.

    Raises
    ------
    PackagingError
        If the handler imports what an asset may not hold.
    """
    with tempfile.TemporaryDirectory(prefix=f"menulens-{step}-") as folder:
        assemble_lambda(step, settings, Path(folder), wheels.HERE if settings.environment == LOCAL else wheels.GRAVITON)
        for name, place in (beside or {}).items():
            shutil.copytree(place, Path(folder) / name)
        # The asset is named by a hash of what is in it, whatever the folder's name.
        yield lambda_.Code.from_asset(folder)


def training_source(scope: Construct, construct_id: str) -> s3_assets.Asset:
    """Return the training source as an asset: one ``.tar.gz``, the same bytes for the same source."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "training-source.tar.gz"
        assemble_training_source(archive)
        return s3_assets.Asset(scope, construct_id, path=str(archive))


def page_version() -> str:
    """Return a short hash of the portal's page: another one when any of its files changes."""
    found = hashlib.sha256()
    for file in sorted(path for path in PAGE.rglob("*") if path.is_file()):
        found.update(f"{file.relative_to(PAGE).as_posix()}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()[:12]


def assemble_lambda(step: str, settings: Settings, folder: Path, target: wheels.Target = wheels.HERE) -> None:
    """Write everything that a step's function needs into an empty folder, for the interpreter that will run it."""
    source = LAMBDAS / step / "handler.py"
    if not source.is_file():
        raise PackagingError(f"{source.relative_to(ROOT)}: no such handler. Each step has its folder in lambdas/.")
    closure = _imported(source)
    needed = sorted(closure.files)
    wheels.copy_into(folder, closure.distributions, target)
    shutil.copyfile(source, folder / "handler.py")
    for module in needed:
        place = folder / module.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module, place)
    if ROOT / SETTINGS_SOURCE in needed:
        text = json.dumps(settings.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, indent=1)
        (folder / SETTINGS_FILE).write_text(text + "\n", encoding="utf-8")


def assemble_training_source(archive: Path) -> None:
    """Write ``training_src/`` and the modules of ``menulens`` that it imports into a deterministic ``.tar.gz``."""
    own = [file for file in sorted(TRAINING_SOURCE.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]
    if not own:
        raise PackagingError(f"{TRAINING_SOURCE.relative_to(ROOT)}: empty; the training source is due there.")
    members = {file.relative_to(TRAINING_SOURCE).as_posix(): file for file in own}
    for file in own:
        if file.suffix == ".py":
            for module in _imported(file, checks=False).files:
                members[module.relative_to(ROOT).as_posix()] = module
    # No time, owner or mode of this machine may enter the archive: its hash names the asset.
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in sorted(members):
            content = members[name].read_bytes()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o644
            tar.addfile(member, io.BytesIO(content))


@dataclass(frozen=True, slots=True)
class _Closure:
    """What a file imports, and what that imports, and so on: files of ``menulens``, and distributions."""

    files: set[Path] = field(default_factory=set)
    distributions: set[str] = field(default_factory=set)


def _imported(source: Path, *, checks: bool = True) -> _Closure:
    """Return what a file stands on; with checks, all of it must be something that an asset may hold."""
    found = _Closure()
    waiting = [source]
    while waiting:
        file = waiting.pop()
        for module in _modules(file):
            top = module.partition(".")[0]
            if top == "menulens":
                for part in _files(module) - found.files:
                    found.files.add(part)
                    waiting.append(part)
            elif top in wheels.DISTRIBUTIONS:
                found.distributions.add(wheels.DISTRIBUTIONS[top])
            elif checks and top not in sys.stdlib_module_names and top not in IN_THE_RUNTIME:
                raise PackagingError(
                    f"{file.relative_to(ROOT)} imports {module}, which a function can't have; allowed: the standard "
                    f"library, boto3, botocore, menulens, {', '.join(sorted(wheels.DISTRIBUTIONS))}."
                )
    return found


@cache
def _modules(file: Path) -> tuple[str, ...]:
    """Return the dotted names that a file imports, outside ``if TYPE_CHECKING``; most files are in many assets."""
    return tuple(_found(file))


def _found(file: Path) -> Iterator[str]:
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"), str(file))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting.extend(node.orelse)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            if node.module.partition(".")[0] == "menulens":
                # ``from menulens.core import keys`` means the module keys.
                yield from (f"{node.module}.{name.name}" for name in node.names)
        else:
            waiting.extend(ast.iter_child_nodes(node))


def _files(module: str) -> set[Path]:
    """Return a module's file and the ``__init__.py`` of each package above it; none for a name inside a module."""
    parts = module.split(".")
    files = set()
    for depth in range(1, len(parts) + 1):
        place = ROOT.joinpath(*parts[:depth])
        if place.with_suffix(".py").is_file():
            files.add(place.with_suffix(".py"))
        elif (place / "__init__.py").is_file():
            files.add(place / "__init__.py")
    return files
