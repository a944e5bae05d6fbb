"""The page's files fit together: words in both languages, the list that the service worker keeps, icons, headers."""

from __future__ import annotations

import json
import re
import struct
from html.parser import HTMLParser
from pathlib import Path

import pytest

PORTAL = Path(__file__).resolve().parents[2] / "portal"
# The owner's page and the one for one's own sign-in are not kept for a day without a network.
NOT_KEPT = re.compile(r"owner|account|sw\.js|icon-512|icon-maskable")


def words(name: str) -> dict[str, str | dict[str, str]]:
    found: dict[str, str | dict[str, str]] = json.loads((PORTAL / "i18n" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def scripts() -> dict[str, str]:
    found = {path.name: path.read_text(encoding="utf-8") for path in (PORTAL / "app").glob("*.js")}
    return {name: text for name, text in found.items() if "owner" not in name}


def reached(start: str = "main.js") -> set[str]:
    """Return the modules that the annotator's page imports."""
    have, todo = set(), [start]
    while todo:
        name = todo.pop()
        if name not in have:
            have.add(name)
            todo += re.findall(r'from "\./([\w.-]+)"', (PORTAL / "app" / name).read_text(encoding="utf-8"))
    return have


@pytest.mark.parametrize("bundle", ["", "account."])
def should_have_the_same_words_in_both_languages(bundle: str) -> None:
    japanese, english = words(f"{bundle}ja"), words(f"{bundle}en")
    assert list(japanese) == list(english)
    for key, text in english.items():
        names = set(re.findall(r"\{(\w+)\}", json.dumps(text)))
        assert set(re.findall(r"\{(\w+)\}", json.dumps(japanese[key]))) <= names | {"n"}, key


def should_have_every_word_that_scripts_say_and_none_that_nobody_says() -> None:
    texts = "\n".join(scripts()[name] for name in reached())
    said = set(re.findall(r'\bt\("([\w.-]+)"', texts)) | set(
        re.findall(r'"((?:end|work|pause|jobs|error)[\w.-]*\.[\w.-]+)"', texts)
    )
    known = set(words("en"))
    assert {key for key in said if key not in known and not key.endswith((".js", ".json"))} == set()
    # Keys that are put together: t(`report.${problem}.hint`).
    patterns = [
        re.sub(r"\$\{[^}]+\}", "[\\\\w.-]+", re.sub(r"\.(?=[^$]*)", r"\\.", one))
        for one in re.findall(r"t\(`([^`]+)`", texts)
    ]
    made = {key for key in known for pattern in patterns if re.fullmatch(pattern, key)}
    quoted = {key for key in known if f'"{key}"' in texts}
    assert known - said - made - quoted == set()


def should_have_every_word_that_the_page_for_ones_own_sign_in_says() -> None:
    text = (PORTAL / "app" / "account.js").read_text(encoding="utf-8")
    said = set(re.findall(r'"(account\.[\w.]*\w)"', text))
    made = {f"account.done.{what}{more}" for what in ("on", "off") for more in ("", ".what")}
    assert said | made == set(words("account.en"))


def should_keep_every_file_that_the_page_needs_for_a_day_without_a_network() -> None:
    listed = set(re.findall(r'"(/[^"]*)"', (PORTAL / "sw.js").read_text(encoding="utf-8").split("];")[0]))
    files = {f"/{path.relative_to(PORTAL).as_posix()}" for path in PORTAL.rglob("*") if path.is_file()}
    needed = {path for path in files if not NOT_KEPT.search(path)} - {"/index.html"} | {"/", "/config.json"}
    page = {f"/app/{name}" for name in reached()} | {"/app/early.js", "/app/base.css", "/app/page.css"}
    assert page <= listed
    assert listed == {path for path in needed if not path.startswith("/app/") or path in page}


def should_fetch_all_modules_at_once() -> None:
    preloaded = set(
        re.findall(r'modulepreload" href="/app/([\w.-]+)"', (PORTAL / "index.html").read_text(encoding="utf-8"))
    )
    assert preloaded == reached()


def should_have_no_inline_script_and_no_inline_style() -> None:
    class Finder(HTMLParser):
        found: list[str] = []  # noqa: RUF012  # one parser a test

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = dict(attrs)
            if (
                tag == "style"
                or (tag == "script" and "src" not in given)
                or "style" in given
                or any(name.startswith("on") for name in given)
            ):
                self.found.append(self.get_starttag_text() or tag)

    finder = Finder()
    for page in sorted(PORTAL.glob("*.html")):
        finder.feed(page.read_text(encoding="utf-8"))
    assert finder.found == []
    for name, text in scripts().items():
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser", text
        ), name


def should_be_installable() -> None:
    manifest = json.loads((PORTAL / "manifest.webmanifest").read_text(encoding="utf-8"))
    assert manifest["display"] == "standalone"
    assert manifest["start_url"] == manifest["scope"] == "/"
    for icon in manifest["icons"]:
        path = PORTAL / icon["src"].lstrip("/")
        if path.suffix == ".png":
            width, height = struct.unpack(">II", path.read_bytes()[16:24])
            assert icon["sizes"] == f"{width}x{height}"
    assert any(icon.get("purpose") == "maskable" for icon in manifest["icons"])
