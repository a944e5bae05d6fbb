"""Tests run on two workers: the ones that share something costly stay together."""

import os
from collections.abc import Iterator
from pathlib import PurePosixPath

import hypothesis
import pytest
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from xdist.scheduler import LoadScopeScheduling

from menulens.local.cloud_state import CloudState
from menulens.local.hosting import free_port
from menulens.local.lifecycle import start_server, stop
from tests.end_to_end.deployed import site  # noqa: F401  # one deployed cloud for all who need it

hypothesis.settings.register_profile("usual", max_examples=30, deadline=None)  # a busy machine is no fault
hypothesis.settings.register_profile("long", max_examples=1_000, deadline=None)  # pytest --hypothesis-profile=long
hypothesis.settings.load_profile("usual")
if hypothesis.settings().derandomize:
    # In CI a test's examples are always the same ones: Hypothesis would mix in constants of whichever modules the tests
    # before it have loaded, and has no setting for it.
    providers._get_local_constants = Constants
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on the processor are no result of a test,
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")  # nor is the CDK's banner about Node's age

CLOUD = "end_to_end"


@pytest.fixture(scope="session")
def bare_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudState]:
    """A local cloud without stacks, for tests that need S3 or a table and name what they make there at random."""
    state = CloudState(tmp_path_factory.mktemp("cloud"))
    try:
        start_server(state, port=free_port())
        yield state
    finally:
        stop(state)
        state.clear()


@pytest.fixture(scope="session")
def port(bare_cloud: CloudState) -> int:
    """Where that cloud answers."""
    record = bare_cloud.running()
    assert record
    return record.port


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: _group(item.nodeid) != CLOUD)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Give each group to one worker, in the order of the tests."""
    config.option.loadscopereorder = False
    return _ByGroup(config, log)


class _ByGroup(LoadScopeScheduling):
    # xdist's own groups need node ids that pytest 9.2 no longer lets it change.
    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


def _group(nodeid: str) -> str:
    """Return what a test is kept together with: those of one local cloud, of one synthesized app, or of one file."""
    file = nodeid.partition("::")[0]
    room = PurePosixPath(file).parts[1]
    if room == CLOUD or nodeid.endswith("[deployed]"):
        return CLOUD
    return room if room == "infrastructure" else file
