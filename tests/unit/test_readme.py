"""The README promises commands, files and links; each has to exist."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from menulens.cli import app

README = Path("README.md").read_text(encoding="utf-8")
PAGES = sorted([Path("README.md"), *Path("docs").rglob("*.md")])
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", Path("Makefile").read_text(), re.MULTILINE))


def any_console_lines() -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def any_menulens_calls() -> list[list[str]]:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    calls = re.findall(r"(?:^|`|bin/)menulens ((?:[a-z]+ ?)+)", text, re.MULTILINE)
    return sorted({tuple(call.split()) for call in calls})


def should_name_the_two_commands_on_the_first_screen() -> None:
    first_screen = README[:1500]
    assert "make demo" in first_screen
    assert "make test" in first_screen
    assert ".ci/run" in {str(path) for path in Path(".ci").iterdir()}
    assert "make test" in Path(".ci/run").read_text()


@pytest.mark.parametrize("line", [line for line in any_console_lines() if line.startswith("make ")])
def should_have_every_make_target_that_the_readme_names(line: str) -> None:
    assert line.split()[1] in MAKE_TARGETS


@pytest.mark.parametrize("call", any_menulens_calls(), ids=" ".join)
def should_have_every_command_that_a_page_names(call: tuple[str, ...]) -> None:
    command = get_command(app)
    for word in call:
        subcommands = getattr(command, "commands", None)
        if subcommands is None:
            break
        assert word in subcommands, f"menulens {' '.join(call)}: no such command"
        command = subcommands[word]


@pytest.mark.parametrize("page", PAGES, ids=str)
def should_link_only_to_what_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), f"{page} links to {target}"


def should_give_settings_files_that_exist() -> None:
    for name in re.findall(r"config/([a-z]+)\.toml", README):
        assert name == "mysite" or Path(f"config/{name}.toml").exists()
