"""A local cloud without the app: S3 and SageMaker as the steps of train, deploy and vectorise meet them."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from menulens.local.cloud_state import CloudState
from menulens.local.config import ACCOUNT
from menulens.local.hosting import free_port
from menulens.local.lifecycle import start_server, stop
from menulens.settings import load_settings
from menulens.storage import Storage

Client = Callable[[str], Any]


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    state = CloudState(tmp_path_factory.mktemp("cloud"))
    record = start_server(state, port=free_port())
    session = boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key=ACCOUNT, region_name="us-east-1")
    clients: dict[str, Any] = {}

    def get(service: str) -> Any:
        if service not in clients:
            clients[service] = session.client(service, endpoint_url=f"http://127.0.0.1:{record.port}")
        return clients[service]

    yield get
    stop(state)


@pytest.fixture
def s3(client: Client) -> Any:
    return client("s3")


@pytest.fixture
def sagemaker(client: Client) -> Any:
    return client("sagemaker")


@pytest.fixture
def storage(s3: Any) -> Storage:
    return Storage(s3)


@pytest.fixture
def settings() -> dict[str, Any]:
    path = Path(__file__).resolve().parents[3] / "config" / "local.toml"
    return load_settings(path).model_dump(mode="json")


_numbers = itertools.count(1)


@pytest.fixture
def environment() -> str:
    """A name of its own for each test, so that no test meets another's models."""
    return f"test{next(_numbers)}"


@pytest.fixture
def bucket(s3: Any) -> Callable[[str], str]:
    def make(room: str) -> str:
        name = f"{room}-{next(_numbers)}"
        s3.create_bucket(Bucket=name)
        return name

    return make
