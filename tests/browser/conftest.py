"""One browser and one set of pictures for all tests; for each a portal of the contract, for some the deployed one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, expect

from demo.pictures import make_pictures
from tests.browser.contract_server import ContractServer
from tests.browser.desks import CloudDesk, ContractDesk, Desk, Photo
from tests.browser.device import Device, device
from tests.browser.engine import chromium

expect.set_options(timeout=20_000)  # a busy machine is slow, and what takes long is measured by tests of its own
MENUS = ("まぐろ丼 味噌汁付き", "季節のパフェ", "ほうじ茶ラテ")


class Opens(Protocol):
    """Opens a device; see :func:`tests.browser.device.device`."""

    def __call__(self, kind: Any, **more: Any) -> AbstractContextManager[Device]: ...


@pytest.fixture(scope="module")  # Playwright runs an event loop here: no other test may find it
def browser() -> Iterator[Browser]:
    """The browser."""
    with chromium() as one:
        yield one


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Photo]:
    """Sixty different pictures with a genre and a menu text."""
    folder = tmp_path_factory.mktemp("pictures")
    made = [one for one in make_pictures(folder, 64) if one.kind == "picture" and Path(one.key).suffix == ".jpg"]
    return [
        Photo((folder / one.key).read_bytes(), {"genre": "和食", "menu-text": f"{MENUS[place % 3]} {place}"})
        for place, one in enumerate(made[:56])
    ]


@pytest.fixture
def opens(browser: Browser) -> Opens:
    """Open a device in a ``with`` block."""
    return partial(device, browser)


@pytest.fixture
def contract() -> Iterator[ContractDesk]:
    """A portal of the contract, in memory, that can be told to fail."""
    with ContractServer().running() as server:
        yield ContractDesk(server)


@pytest.fixture(scope="session")
def cloud_desk(request: pytest.FixtureRequest) -> CloudDesk:
    """The deployed portal of the local cloud."""
    return CloudDesk(request.getfixturevalue("site"))


@pytest.fixture(params=["contract", "deployed"])
def desk(request: pytest.FixtureRequest) -> Desk:
    """Each portal in turn: the one in memory is held to what the deployed one does."""
    found: Desk = request.getfixturevalue("contract" if request.param == "contract" else "cloud_desk")
    return found
