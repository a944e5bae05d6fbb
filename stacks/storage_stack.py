"""Storage: one bucket per room, each private, versioned, encrypted, reached over TLS only, and logged."""

from __future__ import annotations

from typing import cast

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from menulens.core import names
from menulens.labeling.parts import WORK_PREFIX
from menulens.settings import Settings
from stacks.steps.base import Inputs, acknowledge, bucket_name, in_region, removal_policy

SENDING_SERVICES = (
    "budgets.amazonaws.com",
    "cloudwatch.amazonaws.com",
    "events.amazonaws.com",
    "sagemaker.amazonaws.com",
    "sns.amazonaws.com",
)

ANSWERS_LOCKED = Duration.days(1_825)


class StorageStack(Stack):
    """The rooms that photos, labels, datasets, models and vectors lie in."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id, description="menulens: buckets", env=in_region(settings))
        self._settings = settings
        self.key = self._key()
        # Every machine's first state; it stands here because every other stack stands on this one.
        self.inputs = Inputs(self, "Inputs", settings=settings)
        self.access_logs = self._access_logs()
        self.photos: s3.IBucket = self._photos()
        self.labels = self._bucket("labels")
        self.datasets = self._bucket(
            "datasets",
            lifecycle=[
                # Between the steps of one execution, which a person may redrive for 14 days; as large as the manifest.
                s3.LifecycleRule(
                    id="expire-work",
                    prefix=WORK_PREFIX,
                    expiration=Duration.days(14),
                    noncurrent_version_expiration=Duration.days(1),
                )
            ],
        )
        self.models = self._bucket("models")
        # The answers' log: what is written stays as it is, for the administrator as well.
        self.answers = self._bucket(
            "answers", object_lock_default_retention=s3.ObjectLockRetention.governance(ANSWERS_LOCKED)
        )
        self.vectors = self._bucket(
            "vectors",
            lifecycle=[
                # Packs are work in between: the shards hold what is kept. Raw answers go when they are collected.
                s3.LifecycleRule(id="expire-pack", tag_filters={"menulens": "pack"}, expiration=Duration.days(14))
            ],
        )

    def _key(self) -> kms.Key:
        """Return the key of topics and queues; the services that write to them may use it, for this account alone."""
        return kms.Key(
            self,
            "Key",
            alias=f"alias/{names.prefix(self._settings.environment)}",
            description="menulens: topics and queues",
            enable_key_rotation=True,
            policy=iam.PolicyDocument(
                statements=[
                    iam.PolicyStatement(
                        sid="AccountAdministers",
                        principals=[iam.AccountRootPrincipal()],
                        actions=["kms:*"],
                        resources=["*"],  # in a key's policy: this key
                    ),
                    iam.PolicyStatement(
                        sid="ServicesSend",
                        principals=[iam.ServicePrincipal(service) for service in SENDING_SERVICES],
                        actions=["kms:Decrypt", "kms:GenerateDataKey"],
                        resources=["*"],  # in a key's policy: this key
                        conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
                    ),
                ]
            ),
            removal_policy=removal_policy(self._settings),
        )

    def _photos(self) -> s3.IBucket:
        if self._settings.photos.bucket:
            # An imported bucket keeps its own policy and CORS; docs/operators.md says which CORS labeling needs.
            imported: s3.IBucket = s3.Bucket.from_bucket_name(self, "Photos", self._settings.photos.bucket)
            return imported
        return self._bucket(
            "photos",
            # The labeling page loads photos into a canvas: without this header its tasks stay blank.
            cors=[
                s3.CorsRule(
                    allowed_methods=[s3.HttpMethods.GET],
                    allowed_origins=["*"],
                    exposed_headers=["Access-Control-Allow-Origin"],
                )
            ],
        )

    def _bucket(
        self,
        room: names.Room,
        *,
        lifecycle: list[s3.LifecycleRule] | None = None,
        cors: list[s3.CorsRule] | None = None,
        object_lock_default_retention: s3.ObjectLockRetention | None = None,
    ) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            room.capitalize(),
            bucket_name=bucket_name(self._settings, room),
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            server_access_logs_bucket=self.access_logs,
            server_access_logs_prefix=f"{room}/",
            cors=cors,
            object_lock_default_retention=object_lock_default_retention,
            lifecycle_rules=[*housekeeping(), *(lifecycle or [])],
            removal_policy=removal_policy(self._settings),
        )
        # Through the bucket's own property: CDK's switch adds a function that may rewrite every bucket's notifications.
        cast(
            "s3.CfnBucket", bucket.node.default_child
        ).notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
        )
        return bucket

    def _access_logs(self) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "AccessLogs",
            bucket_name=bucket_name(self._settings, "access-logs"),
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            lifecycle_rules=[
                *housekeeping(),
                s3.LifecycleRule(id="expire-logs", expiration=Duration.days(400)),
            ],
            removal_policy=removal_policy(self._settings),
        )
        acknowledge(bucket, "This bucket holds the access logs; logging it into itself never ends.", "AwsSolutions-S1")
        return bucket


def housekeeping() -> list[s3.LifecycleRule]:
    """Return the lifecycle rules of every bucket."""
    return [
        s3.LifecycleRule(id="abort-uploads", abort_incomplete_multipart_upload_after=Duration.days(7)),
        s3.LifecycleRule(id="expire-old-versions", noncurrent_version_expiration=Duration.days(90)),
    ]
