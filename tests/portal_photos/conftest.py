"""A local cloud's S3 on a free port."""

from __future__ import annotations

import uuid
from typing import Any

import boto3
import pytest
from botocore.config import Config

from menulens.local.config import ACCOUNT


def client_at(port: int) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key=ACCOUNT,
        config=Config(proxies={}, s3={"addressing_style": "path"}, max_pool_connections=20),
    )


@pytest.fixture(scope="session")
def s3(port: int) -> Any:
    return client_at(port)


@pytest.fixture
def buckets(s3: Any) -> tuple[str, str]:
    """Return a bucket of photos and one of labels."""
    mark = uuid.uuid4().hex[:12]
    names = f"photos-{mark}", f"labels-{mark}"
    for name in names:
        s3.create_bucket(Bucket=name)
    return names
