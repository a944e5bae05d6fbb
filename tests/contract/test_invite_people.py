"""People into a pool that has some of them already: a real user pool, asked as CloudFormation asks."""

import runpy
from typing import Any

import boto3
import pytest

from menulens.core import deployed
from menulens.local.config import ACCOUNT
from menulens.portal import inviting
from stacks import packaging

PEOPLE = ["aki@example.com", "ben@example.com"]


@pytest.fixture(scope="module")
def cognito(port: int) -> Any:
    session = boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key=ACCOUNT, region_name="us-east-1")
    return session.client("cognito-idp", endpoint_url=f"http://127.0.0.1:{port}")


@pytest.fixture(params=[["email"], []], ids=["names are addresses", "any name"])
def pool_id(cognito: Any, request: pytest.FixtureRequest) -> str:
    """A pool of others, who have ben in it."""
    made = cognito.create_user_pool(PoolName="others", UsernameAttributes=request.param)
    pool: str = made["UserPool"]["Id"]
    cognito.admin_create_user(UserPoolId=pool, Username="ben@example.com", UserAttributes=attributes("ben"))
    return pool


def attributes(name: str) -> list[dict[str, str]]:
    return [{"Name": "email", "Value": f"{name}@example.com"}, {"Name": "name", "Value": name}]


def users(cognito: Any, pool_id: str) -> dict[str, dict[str, str]]:
    """Return what the pool knows of each address."""
    found = (
        {item["Name"]: item["Value"] for item in user["Attributes"]}
        for user in cognito.list_users(UserPoolId=pool_id)["Users"]
    )
    return {user["email"]: user for user in found}


def should_invite_who_is_not_there_yet_and_leave_the_others_as_they_are(cognito: Any, pool_id: str) -> None:
    before = users(cognito, pool_id)["ben@example.com"]
    assert inviting.invite(PEOPLE, pool_id=pool_id, cognito=cognito) == ["aki@example.com"]
    after = users(cognito, pool_id)
    assert sorted(after) == PEOPLE
    assert after["ben@example.com"] == before
    assert after["aki@example.com"]["email_verified"] == "true"


def should_invite_nobody_twice(cognito: Any, pool_id: str) -> None:
    inviting.invite(PEOPLE, pool_id=pool_id, cognito=cognito)
    assert inviting.invite(PEOPLE, pool_id=pool_id, cognito=cognito) == []


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
def should_take_nobody_out_when_cloudformation_deletes(
    cognito: Any,
    pool_id: str,
    cloudformation: tuple[str, list[dict[str, Any]]],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, answers = cloudformation
    monkeypatch.setenv(deployed.USER_POOL_ID, pool_id)
    monkeypatch.setenv("AWS_ENDPOINT_URL", cognito.meta.endpoint_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, ACCOUNT)
    handler = runpy.run_path(str(packaging.LAMBDAS / "invite_people" / "handler.py"))["handler"]
    event = {
        "RequestType": kind,
        "ResponseURL": url,
        "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/workforce/1",
        "RequestId": "r-1",
        "LogicalResourceId": "People",
        "ResourceProperties": {"Emails": PEOPLE},
    }
    handler(event, None)
    (answer,) = answers
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", pool_id)
    assert sorted(users(cognito, pool_id)) == (["ben@example.com"] if kind == "Delete" else PEOPLE)
