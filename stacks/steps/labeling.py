"""The steps of labeling: each with its function, its permissions and its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aws_cdk import Aws, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from menulens.core import keys, names
from menulens.labeling import layout
from menulens.settings import Settings
from stacks.steps.base import (
    Function,
    acknowledge,
    bucket_name,
    finding,
    path,
    rooms,
    sagemaker_arn,
)
from stacks.steps.grants import (
    ANY_JOB,
    BATCHES_READ,
    describing_jobs,
    finding_portal_jobs,
    listing,
    portal_variables,
    reading,
    wildcards,
    writing,
)
from stacks.steps.sagemaker_tasks import UNDECLARED

DAY_SECONDS: Final = 86_400
WHOLE_CPU_MB: Final = 1_769
TASKS_AT_ONCE: Final = 1_000

# The accounts in which AWS keeps Ground Truth's own pre-annotation and consolidation functions (facts of its guide).
BUILT_IN_FUNCTIONS: Final[Mapping[str, str]] = {
    "ap-northeast-1": "477331159723",
    "ap-northeast-2": "845288260483",
    "ap-south-1": "565803892007",
    "ap-southeast-1": "377565633583",
    "ap-southeast-2": "454466003867",
    "ca-central-1": "918755190332",
    "eu-central-1": "203001061592",
    "eu-west-1": "568282634449",
    "eu-west-2": "487402164563",
    "us-east-1": "432418664414",
    "us-east-2": "266458841044",
    "us-west-2": "081040173940",
}
AUTOMATED_ACCOUNT: Final = "027400017018"


class LabelingStepError(Exception):
    """Settings that Ground Truth can't work with."""


def built_in(region: str, function: str) -> str:
    """Return the ARN of one of Ground Truth's own functions.

    Raises
    ------
    LabelingStepError
        If Ground Truth has no such function in the region.
    """
    if region not in BUILT_IN_FUNCTIONS:
        raise LabelingStepError(
            f"region = {region!r}: Ground Truth has no image classification there; "
            f"allowed: {', '.join(sorted(BUILT_IN_FUNCTIONS))}."
        )
    return f"arn:aws:lambda:{region}:{BUILT_IN_FUNCTIONS[region]}:function:{function}"


class _LabelsStep(Function):
    """A step that reads the room of labels, writes one of its prefixes, and may look for jobs of any provider.

    It reads all of that room: a manifest to start from may lie anywhere in it, and a job that was started elsewhere may
    write anywhere in it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        step: str,
        writes: str,
        finds_jobs: bool,
        timeout: Duration,
        memory_mb: int,
        photos: bool = False,
    ) -> None:
        which: tuple[names.Room, ...] = ("photos", "labels") if photos else ("labels",)
        objects = [reading(settings, "labels", ""), writing(settings, "labels", writes)]
        if photos:
            objects.append(reading(settings, "photos", settings.photos.prefix))
        job = describing_jobs()
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step=step,
            environment=portal_variables(settings, *which) if finds_jobs else rooms(settings, *which),
            statements=[
                listing(settings, *which),
                *objects,
                *([job, finding_portal_jobs(settings)] if finds_jobs else ()),
            ],
            timeout=timeout,
            memory_mb=memory_mb,
            acknowledged={**wildcards(*objects), **(wildcards(job, reason=ANY_JOB) if finds_jobs else {})},
        )


class BuildInputManifest(_LabelsStep):
    """List the photos, reject what can't be shown, and write what the labeling job is given."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="build_input_manifest",
            photos=True,
            writes=layout.INPUTS,
            finds_jobs=True,
            # 100,000 headers at some 300 a second.
            timeout=Duration.minutes(15),
            memory_mb=WHOLE_CPU_MB,
        )


class LocateLabels(_LabelsStep):
    """Find what a job left: complete, stopped, or failed with something to go on with."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="locate_labels",
            writes=layout.RESCUED,
            finds_jobs=True,
            timeout=Duration.minutes(5),
            memory_mb=1_024,
        )


class MergeLabels(_LabelsStep):
    """Bring the labels of a resumed job together with those from before."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="merge_labels",
            writes=layout.MERGED,
            finds_jobs=False,
            timeout=Duration.minutes(10),
            memory_mb=WHOLE_CPU_MB,
        )


class CreateLabelingJob(Construct):
    """Ask people: the labeling job, the role it works under, and the state that waits for it."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, team_arn: str) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._team_arn = team_arn
        self._before = built_in(settings.region, "PRE-ImageMultiClass")
        self._after = built_in(settings.region, "ACS-ImageMultiClass")
        self._role_name = f"{names.prefix(settings.environment)}-labeling-job"
        self.role_arn = f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/{self._role_name}"
        photos = reading(settings, "photos", settings.photos.prefix)
        given = reading(settings, "labels", layout.INPUTS, layout.JOBS)
        written = writing(settings, "labels", layout.JOBS)
        group = f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:/aws/sagemaker/LabelingJobs"
        streams = f"{group}:log-stream:*"
        self.role = iam.Role(
            self,
            "Role",
            role_name=self._role_name,
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
            description="What a labeling job may do",
            inline_policies={
                "labeling-job": iam.PolicyDocument(
                    minimize=False,
                    statements=[
                        listing(settings, "photos"),
                        listing(settings, "labels"),
                        photos,
                        given,
                        written,
                        iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[self._before, self._after]),
                        iam.PolicyStatement(
                            actions=["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                            resources=[streams],
                        ),
                        # AWS documents a group's ARN both with ":*" at its end and without.
                        iam.PolicyStatement(actions=["logs:CreateLogGroup"], resources=[group, f"{group}:*"]),
                        # Metrics have no resource-level permission; the namespace bounds them.
                        iam.PolicyStatement(
                            actions=["cloudwatch:PutMetricData"],
                            resources=["*"],
                            conditions={"StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/LabelingJobs"}},
                        ),
                        *self._automated_statements(),
                    ],
                )
            },
        )
        acknowledge(self.role, BATCHES_READ, *wildcards(photos, given, written))
        acknowledge(self.role, "Metrics have no resource-level permission.", finding("*"))
        acknowledge(self.role, "Log streams are named by the service.", finding(streams), finding(f"{group}:*"))
        for statement in self._automated_statements():
            acknowledge(self.role, "Automated labeling names its own jobs.", *wildcards(statement))

    @property
    def statements(self) -> list[iam.PolicyStatement]:
        """What the state machine needs to start a job, wait for it and stop it."""
        own_rule = (
            f"arn:{Aws.PARTITION}:events:{Aws.REGION}:{Aws.ACCOUNT_ID}"
            ":rule/StepFunctionsGetEventsForSageMakerLabelingJobsRule"
        )
        return [
            # A job's name may be chosen in the input, so no prefix can bound it.
            iam.PolicyStatement(
                actions=[
                    "sagemaker:AddTags",
                    "sagemaker:CreateLabelingJob",
                    "sagemaker:DescribeLabelingJob",
                    "sagemaker:ListTags",
                    "sagemaker:StopLabelingJob",
                ],
                resources=[sagemaker_arn("labeling-job/*")],
            ),
            iam.PolicyStatement(
                actions=["iam:PassRole"],
                resources=[self.role_arn],
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            ),
            iam.PolicyStatement(
                actions=["events:DescribeRule", "events:PutRule", "events:PutTargets"], resources=[own_rule]
            ),
        ]

    @property
    def acknowledged(self) -> dict[str, str]:
        """cdk-nag's findings on :attr:`statements`."""
        return {finding(sagemaker_arn("labeling-job/*")): "A job's name may be chosen in the input."}

    def state(self, scope: Construct, construct_id: str) -> sfn.CustomState:
        """Return the state that makes the job and waits until it has ended."""
        return sfn.CustomState(
            scope,
            construct_id,
            state_json={
                "Type": "Task",
                "Comment": "Completed, stopped and failed jobs all go on to LocateLabels",
                "Resource": f"arn:{Aws.PARTITION}:states:::sagemaker:createLabelingJob.sync",
                "Parameters": self.request(),
                "TimeoutSeconds": (self._settings.labeling.job_days + 1) * DAY_SECONDS,
                "ResultSelector": {"LabelingJobArn.$": "$.LabelingJobArn"},
                "ResultPath": path("labeling"),
                "Retry": [
                    {
                        "ErrorEquals": [UNDECLARED["sagemaker"]],
                        "IntervalSeconds": 5,
                        "MaxAttempts": 5,
                        "BackoffRate": 2,
                        "JitterStrategy": "FULL",
                    }
                ],
            },
        )

    def request(self) -> dict[str, Any]:
        """Return CreateLabelingJob's request, with every field that image classification takes."""
        labeling = self._settings.labeling
        question = f"{labeling.question_ja} / {labeling.question_en}"
        request: dict[str, Any] = {
            "LabelingJobName.$": path(keys.JOB_NAME),
            "LabelAttributeName": labeling.label_attribute,
            "InputConfig": {"DataSource": {"S3DataSource": {"ManifestS3Uri.$": path(keys.INPUT_MANIFEST)}}},
            "OutputConfig": {"S3OutputPath": layout.outputs(bucket_name(self._settings, "labels"))},
            "RoleArn": self.role_arn,
            "LabelCategoryConfigS3Uri.$": path(keys.CATEGORIES_URI),
            "StoppingConditions": {"MaxPercentageOfInputDatasetLabeled": 100},
            "HumanTaskConfig": {
                "WorkteamArn": self._team_arn,
                "UiConfig": {"UiTemplateS3Uri.$": path(keys.TEMPLATE_URI)},
                "PreHumanTaskLambdaArn": self._before,
                "TaskKeywords": ["menu", "photo", "food", "image classification"],
                "TaskTitle": question[:128],
                "TaskDescription": question[:255],
                "NumberOfHumanWorkersPerDataObject": labeling.workers_per_photo,
                "TaskTimeLimitInSeconds": labeling.task_seconds,
                "TaskAvailabilityLifetimeInSeconds": labeling.job_days * DAY_SECONDS,
                "MaxConcurrentTaskCount": TASKS_AT_ONCE,
                "AnnotationConsolidationConfig": {"AnnotationConsolidationLambdaArn": self._after},
            },
            "Tags": [
                {"Key": "project", "Value": "menulens"},
                {"Key": "environment", "Value": self._settings.environment},
            ],
        }
        if labeling.automated:
            request["LabelingJobAlgorithmsConfig"] = {"LabelingJobAlgorithmSpecificationArn": self._algorithm()}
        return request

    def _algorithm(self) -> str:
        return (
            f"arn:aws:sagemaker:{self._settings.region}:{AUTOMATED_ACCOUNT}"
            ":labeling-job-algorithm-specification/image-classification"
        )

    def _automated_statements(self) -> list[iam.PolicyStatement]:
        """What automated labeling does beside asking people: it trains a model and runs it over the photos."""
        if not self._settings.labeling.automated:
            return []
        return [
            iam.PolicyStatement(
                actions=[
                    "sagemaker:CreateModel",
                    "sagemaker:CreateTrainingJob",
                    "sagemaker:CreateTransformJob",
                    "sagemaker:DescribeTrainingJob",
                    "sagemaker:DescribeTransformJob",
                    "sagemaker:StopTrainingJob",
                    "sagemaker:StopTransformJob",
                ],
                resources=[sagemaker_arn(f"{kind}/*") for kind in ("model", "training-job", "transform-job")],
            ),
            iam.PolicyStatement(
                actions=["iam:PassRole"],
                resources=[self.role_arn],
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            ),
        ]
