"""Chromium out of an npm package, driven by Playwright: no system package, no download."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

PROJECT = Path(__file__).resolve().parents[2]
MODULES = PROJECT / "node_modules"
EMOJI_FONT = MODULES / "@expo-google-fonts" / "noto-color-emoji" / "400Regular"
AXE = MODULES / "axe-core" / "axe.min.js"
_FIND = "import chromium from '@sparticuz/chromium'; process.stdout.write(await chromium.executablePath())"
_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>{folders}<cachedir>{cache}</cachedir>{rules}</fontconfig>"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser; its files are unpacked once into a temporary folder of their own."""
    with tempfile.TemporaryDirectory(prefix="menulens-browser-") as folder:
        environment = {**os.environ, "TMPDIR": folder, "FONTCONFIG_FILE": str(_fonts(Path(folder)))}
        found = subprocess.run(
            ["node", "--input-type=module", "--eval", _FIND],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=found.stdout,
                args=["--headless=shell", "--no-sandbox", "--no-zygote", "--disable-gpu", "--font-render-hinting=none"],
                env=environment,
            )
            try:
                yield browser
            finally:
                browser.close()


def require_japanese(browser: Browser) -> None:
    """Fail where no font has Japanese letters: a picture would show boxes in their place."""
    page = browser.new_page()
    same = page.evaluate(
        """() => {
            const drawn = (letter) => {
                const canvas = new OffscreenCanvas(40, 40).getContext("2d");
                canvas.font = "32px sans-serif";
                canvas.fillText(letter, 2, 34);
                return canvas.getImageData(0, 0, 40, 40).data.join();
            };
            return drawn("語") === drawn("麺");
        }"""
    )
    page.close()
    if same:
        raise RuntimeError("No font here has Japanese letters. Install one (Debian: fonts-noto-cjk), and try again.")


def _fonts(folder: Path) -> Path:
    """Write a font configuration that knows the machine's fonts and an emoji font (which few servers have)."""
    places = ("/usr/share/fonts", "/usr/local/share/fonts", EMOJI_FONT)
    system = Path("/etc/fonts/conf.d")
    rules = f'<include ignore_missing="yes">{system}</include>' if system.is_dir() else ""
    path = folder / "fonts.conf"
    folders = "".join(f"<dir>{place}</dir>" for place in places)
    path.write_text(_FONTS.format(folders=folders, cache=folder / "font-cache", rules=rules), encoding="utf-8")
    return path
