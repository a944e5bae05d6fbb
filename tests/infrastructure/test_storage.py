"""Rooms: private, versioned, encrypted, TLS only, logged; topics and queues under our key."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Resources = Callable[[str], dict[str, dict[str, Any]]]
ROOMS = ("photos", "labels", "datasets", "models", "vectors", "answers", "page", "access-logs")
ACCOUNT = "123456789012"


def bucket(room: str) -> str:
    return f"menulens-local-{room}-{ACCOUNT}-us-east-1"


@pytest.fixture(scope="session")
def buckets(resources: Resources) -> dict[str, dict[str, Any]]:
    return {properties["BucketName"]: properties for properties in resources("AWS::S3::Bucket").values()}


def should_make_exactly_the_rooms(buckets: dict[str, Any]) -> None:
    assert set(buckets) == {bucket(room) for room in ROOMS}


@pytest.mark.parametrize("room", ROOMS)
def should_keep_each_room_private_versioned_and_encrypted(buckets: dict[str, Any], room: str) -> None:
    found = buckets[bucket(room)]
    assert found["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    assert found["VersioningConfiguration"] == {"Status": "Enabled"}
    assert found["BucketEncryption"] == {
        "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    }
    assert found["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    aborts = [rule["AbortIncompleteMultipartUpload"] for rule in found["LifecycleConfiguration"]["Rules"][:1]]
    assert aborts == [{"DaysAfterInitiation": 7}]


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "access-logs"])
def should_log_every_access_and_tell_of_every_object(buckets: dict[str, Any], room: str) -> None:
    found = buckets[bucket(room)]
    assert found["LoggingConfiguration"]["LogFilePrefix"] == f"{room}/"
    if room == "page":
        return  # nothing starts from the page's files
    assert found["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}


def should_lock_answers_against_change(buckets: dict[str, Any]) -> None:
    assert buckets[bucket("answers")]["ObjectLockEnabled"] is True
    assert buckets[bucket("answers")]["ObjectLockConfiguration"] == {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Days": 1_825, "Mode": "GOVERNANCE"}},
    }
    assert [name for name, found in buckets.items() if "ObjectLockEnabled" in found] == [bucket("answers")]


def should_let_the_work_between_steps_expire_and_no_dataset(buckets: dict[str, Any]) -> None:
    rules = buckets[bucket("datasets")]["LifecycleConfiguration"]["Rules"]
    assert [rule for rule in rules if "ExpirationInDays" in rule] == [
        {
            "Id": "expire-work",
            "Status": "Enabled",
            "Prefix": "unfinished/",
            "ExpirationInDays": 14,
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        }
    ]


def should_not_log_the_log_of_accesses(buckets: dict[str, Any]) -> None:
    assert "LoggingConfiguration" not in buckets[bucket("access-logs")]
    assert "NotificationConfiguration" not in buckets[bucket("access-logs")]


def should_let_the_labeling_page_load_photos(buckets: dict[str, Any]) -> None:
    rules = buckets[bucket("photos")]["CorsConfiguration"]["CorsRules"]
    assert rules == [
        {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "ExposedHeaders": ["Access-Control-Allow-Origin"]}
    ]


def should_refuse_everything_but_tls_1_2(templates: dict[str, Any], resources: Resources) -> None:
    policies = resources("AWS::S3::BucketPolicy")
    assert len(policies) == len(ROOMS)
    for policy in policies.values():
        denials = [
            (statement["Condition"], statement["Principal"], statement["Action"])
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Deny"
        ]
        assert ({"Bool": {"aws:SecureTransport": "false"}}, {"AWS": "*"}, "s3:*") in denials
        assert ({"NumericLessThan": {"s3:TlsVersion": 1.2}}, {"AWS": "*"}, "s3:*") in denials


def should_encrypt_topics_and_queues_with_our_key_and_take_tls_only(resources: Resources) -> None:
    topics, queues = resources("AWS::SNS::Topic"), resources("AWS::SQS::Queue")
    assert {topic["TopicName"] for topic in topics.values()} == {
        f"menulens-local-{name}" for name in ("new-work", "to-owners", "alarms")
    }
    assert all(topic["KmsMasterKeyId"] for topic in topics.values())
    assert {queue["QueueName"] for queue in queues.values()} == {"menulens-local-undelivered"}
    assert all(queue["KmsMasterKeyId"] and queue["MessageRetentionPeriod"] == 1_209_600 for queue in queues.values())
    policies = [*resources("AWS::SNS::TopicPolicy").values(), *resources("AWS::SQS::QueuePolicy").values()]
    assert len(policies) == len(topics) + len(queues)
    for policy in policies:
        denials = [item for item in policy["PolicyDocument"]["Statement"] if item["Effect"] == "Deny"]
        assert [item["Condition"] for item in denials] == [{"Bool": {"aws:SecureTransport": "false"}}]


def should_let_services_use_the_key_for_this_account_alone(resources: Resources) -> None:
    (key,) = resources("AWS::KMS::Key").values()
    assert key["EnableKeyRotation"] is True
    assert key["KeyPolicy"]["Statement"] == [
        {
            "Sid": "AccountAdministers",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "kms:*",
            "Resource": "*",
        },
        {
            "Sid": "ServicesSend",
            "Effect": "Allow",
            "Principal": {
                "Service": [
                    "budgets.amazonaws.com",
                    "cloudwatch.amazonaws.com",
                    "events.amazonaws.com",
                    "sagemaker.amazonaws.com",
                    "sns.amazonaws.com",
                ]
            },
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        },
    ]


def should_add_no_function_that_rewrites_notifications(resources: Resources) -> None:
    assert not [name for name in resources("AWS::Lambda::Function") if "BucketNotifications" in name]
    assert "s3:PutBucketNotification" not in json.dumps(resources("AWS::IAM::Policy"))


def should_go_to_the_region_of_the_settings_whatever_the_credentials_say(production: Path) -> None:
    stacks = [
        one["environment"]
        for one in json.loads((production / "manifest.json").read_text())["artifacts"].values()
        if one["type"] == "aws:cloudformation:stack"
    ]
    assert len(stacks) == 9
    assert set(stacks) == {"aws://unknown-account/ap-northeast-1"}
