"""A local cloud without the app: S3 and SageMaker as the steps of train, deploy and vectorise meet them."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from menulens.core import names
from menulens.local.cloud_state import CloudState
from menulens.local.config import ACCOUNT
from menulens.local.hosting import free_port
from menulens.local.lifecycle import start_server, stop
from menulens.portal.context import Portal
from menulens.portal.table import Table, definition
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
    state.clear()


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


@pytest.fixture(scope="session")
def portal(client: Client) -> Portal:
    """The portal that the local cloud's labeling jobs are opened in."""
    s3 = client("s3")
    found = Portal(
        environment="local",
        table=Table(client("dynamodb"), names.labeling_table("local")),
        storage=Storage(s3),
        s3=s3,
        answers_bucket=names.bucket("local", "answers", ACCOUNT, "us-east-1"),
        labels_bucket=names.bucket("local", "labels", ACCOUNT, "us-east-1"),
        events=client("events"),
        step_functions=client("stepfunctions"),
    )
    client("dynamodb").create_table(**definition(found.table.name))
    for bucket in (found.answers_bucket, found.labels_bucket):
        s3.create_bucket(Bucket=bucket)
    return found


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
