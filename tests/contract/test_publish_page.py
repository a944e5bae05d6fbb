"""The page in its bucket: CloudFormation asks, the function puts the files there and answers, through real HTTP."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from menulens.core import deployed
from menulens.local.config import ACCOUNT
from menulens.portal import publishing
from stacks import packaging

CONFIGURATION = {"region": "us-east-1", "client_id": "abc", "version": "0123456789ab"}


@pytest.fixture(scope="module")
def s3(port: int) -> Any:
    session = boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key=ACCOUNT, region_name="us-east-1")
    return session.client("s3", endpoint_url=f"http://127.0.0.1:{port}")


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    name = f"page-{abs(hash(request.node.name))}"
    s3.create_bucket(Bucket=name)
    return name


def any_page(folder: Path, **files: str) -> Path:
    for name, text in {"index.html": "<!doctype html>", "app/main.js": "export {}", **files}.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return folder


def held(s3: Any, bucket: str) -> set[str]:
    return {found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}


def should_put_files_with_their_types_and_the_page_last(s3: Any, bucket: str, tmp_path: Path) -> None:
    keys = publishing.publish(any_page(tmp_path), CONFIGURATION, bucket=bucket, s3=s3)
    assert keys == ["app/main.js", "config.json", "index.html"]
    assert held(s3, bucket) == set(keys)
    for key, kind in (
        ("index.html", "text/html; charset=utf-8"),
        ("app/main.js", "text/javascript; charset=utf-8"),
        ("config.json", "application/json"),
    ):
        found = s3.get_object(Bucket=bucket, Key=key)
        assert (found["ContentType"], found["CacheControl"]) == (kind, "no-cache")
    assert json.load(s3.get_object(Bucket=bucket, Key="config.json")["Body"]) == CONFIGURATION


def should_take_away_what_the_page_has_no_more(s3: Any, bucket: str, tmp_path: Path) -> None:
    publishing.publish(any_page(tmp_path / "1", **{"old.css": "a{}"}), CONFIGURATION, bucket=bucket, s3=s3)
    publishing.publish(any_page(tmp_path / "2"), CONFIGURATION, bucket=bucket, s3=s3)
    assert held(s3, bucket) == {"app/main.js", "config.json", "index.html"}


def should_put_nothing_of_a_page_with_a_file_of_unknown_type(s3: Any, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(publishing.PublishingError, match=r"notes\.md: no content type"):
        publishing.publish(any_page(tmp_path, **{"notes.md": "x"}), CONFIGURATION, bucket=bucket, s3=s3)
    assert held(s3, bucket) == set()


def should_know_the_type_of_every_file_of_the_real_page(s3: Any, bucket: str) -> None:
    keys = publishing.publish(packaging.PAGE, CONFIGURATION, bucket=bucket, s3=s3)
    assert {"index.html", "sw.js", "manifest.webmanifest"} <= set(keys)


@pytest.mark.parametrize(("kind", "status"), [("Create", "SUCCESS"), ("Delete", "SUCCESS"), ("Update", "FAILED")])
def should_always_answer_cloudformation(
    s3: Any,
    bucket: str,
    cloudformation: tuple[str, list[dict[str, Any]]],
    kind: str,
    status: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    url, answers = cloudformation
    monkeypatch.setenv(deployed.PAGE_BUCKET, bucket if status == "SUCCESS" else "there-is-no-such-bucket")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.meta.endpoint_url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, ACCOUNT)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    handler = assembled(tmp_path)
    event = {
        "RequestType": kind,
        "ResponseURL": url,
        "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/portal/1",
        "RequestId": "r-1",
        "LogicalResourceId": "Page",
        "ResourceProperties": {"Configuration": CONFIGURATION},
    }
    handler(event, None)
    (answer,) = answers
    assert (answer["Status"], answer["RequestId"], answer["LogicalResourceId"]) == (status, "r-1", "Page")
    assert answer["type"] == ""  # the signed URL takes no other
    assert held(s3, bucket) == ({"app/main.js", "config.json", "index.html"} if kind == "Create" else set())
    if status == "FAILED":
        assert "NoSuchBucket" in answer["Reason"]


def assembled(folder: Path) -> Any:
    """Return the handler, loaded from a folder that holds a page beside it as the asset does."""
    (folder / "handler.py").write_text((packaging.LAMBDAS / "publish_page" / "handler.py").read_text())
    any_page(folder / publishing.PAGE_FOLDER)
    names: dict[str, Any] = {"__file__": str(folder / "handler.py"), "__name__": "published"}
    exec(compile((folder / "handler.py").read_text(), str(folder / "handler.py"), "exec"), names)
    return names["handler"]
