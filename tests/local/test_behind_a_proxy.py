"""On a machine whose way out is a proxy, what is asked of the local cloud goes straight to it."""

import boto3
import pytest

from demo.annotators import invitations
from menulens.cloud import Cloud
from menulens.local.config import ACCOUNT
from menulens.settings import settings_of
from tests.local.conftest import Room


@pytest.fixture(autouse=True)
def _proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a proxy that does not answer, as a company's machine does outside its network."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def should_reach_the_local_cloud(cloud: Room) -> None:
    session = boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key=ACCOUNT, region_name="us-east-1")
    reached = Cloud(settings_of("local"), session, f"http://127.0.0.1:{cloud.port}")
    assert reached.account == ACCOUNT


def should_read_the_mails_that_it_sent(cloud: Room) -> None:
    assert invitations(f"http://127.0.0.1:{cloud.port}") == {}
