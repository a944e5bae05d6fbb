"""Every role of train, deploy and vectorise: its statements, all of them, word for word."""

import json
import re
from typing import Any

import pytest

from tests.infrastructure.model_chain import Stack, templates
from tests.infrastructure.rendering import roles, statements

SAGEMAKER = "arn:aws:sagemaker:us-east-1:111122223333:"
LAMBDA = "arn:aws:lambda:us-east-1:111122223333:function:menulens-test-"
STATES = "arn:aws:states:us-east-1:111122223333:"
LOGS = "arn:aws:logs:us-east-1:111122223333:log-group:"
RULE = "arn:aws:events:us-east-1:111122223333:rule/StepFunctionsGetEventsForSageMaker"
ALARM = "arn:aws:cloudwatch:us-east-1:111122223333:alarm:"
PACKAGES = (
    f"{SAGEMAKER}model-package-group/menulens-test-classifier, {SAGEMAKER}model-package/menulens-test-classifier/*"
)
READ_REGISTRY = f"sagemaker:DescribeModelPackage, sagemaker:ListModelPackages on {PACKAGES}"
PULL = "ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer"
WRITE_LOGS = "logs:CreateLogGroup, logs:CreateLogStream, logs:DescribeLogStreams, logs:PutLogEvents"
TO_SAGEMAKER = 'if {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}'
PUT_EVENTS = (
    "events:PutEvents on arn:aws:events:us-east-1:111122223333:event-bus/default "
    'if {"StringEquals": {"events:source": "menulens"}}'
)


def bucket(room: str, keys: str = "") -> str:
    return f"arn:aws:s3:::menulens-test-{room}-111122223333-us-east-1{keys}"


def metrics(namespace: str) -> str:
    return (
        f'cloudwatch:PutMetricData on * if {{"StringEquals": {{"cloudwatch:namespace": "/aws/sagemaker/{namespace}"}}}}'
    )


def step(name: str, *more: str) -> set[str]:
    """Return the statements that every function has, and those of one."""
    return {
        f"logs:CreateLogStream, logs:PutLogEvents on {LOGS}/aws/lambda/menulens-test-{name}:log-stream:*",
        "xray:PutTelemetryRecords, xray:PutTraceSegments on *",
        *more,
    }


def machine(*more: str) -> set[str]:
    """Return the statements that every state machine of these has, and those of one."""
    return {
        "logs:CreateLogDelivery, logs:DeleteLogDelivery, logs:DescribeLogGroups, logs:DescribeResourcePolicies, "
        "logs:GetLogDelivery, logs:ListLogDeliveries, logs:PutResourcePolicy, logs:UpdateLogDelivery on *",
        "xray:GetSamplingRules, xray:GetSamplingTargets, xray:PutTelemetryRecords, xray:PutTraceSegments on *",
        f"lambda:InvokeFunction on {LAMBDA}check-input",
        PUT_EVENTS,
        *more,
    }


TRAINING = {
    "step prepare_training": step(
        "prepare-training",
        f"s3:GetObject on {bucket('datasets', '/*/card.json')}",
        f"s3:GetObject on {bucket('models', '/backbones/*/current.json')}",
        f"s3:ListBucket on {bucket('datasets')}, {bucket('models')}",
        READ_REGISTRY,
        f"sagemaker:DescribeTrainingJob on {SAGEMAKER}training-job/menulens-test-*",
    ),
    "training container": {
        metrics("TrainingJobs"),
        f"{PULL} on arn:aws:ecr:us-east-1:763104351884:repository/tensorflow-training",
        "ecr:GetAuthorizationToken on *",
        f"{WRITE_LOGS} on {LOGS}/aws/sagemaker/TrainingJobs:*",
        f"s3:AbortMultipartUpload, s3:PutObject on {bucket('models', '/training/*')}",
        "s3:GetObject on arn:aws:s3:::cdk-hnb659fds-assets-111122223333-us-east-1/SOURCE.gz, "
        f"{bucket('datasets', '/*')}, {bucket('models', '/backbones/*')}, {bucket('models', '/training/*')}, "
        f"{bucket('photos', '/photos/*')}",
        f"s3:ListBucket on {bucket('datasets')}, {bucket('models')}, {bucket('photos')}",
    },
    "step training_outcome": step(
        "training-outcome", f"sagemaker:DescribeTrainingJob on {SAGEMAKER}training-job/menulens-test-*"
    ),
    "step gate_model": step(
        "gate-model",
        f"s3:GetObject on {bucket('models', '/training/*/output/output.tar.gz')}",
        f"s3:ListBucket on {bucket('models')}",
        READ_REGISTRY,
        f"sagemaker:DescribeTrainingJob on {SAGEMAKER}training-job/menulens-test-*",
    ),
    "state machine train": machine(
        f"events:DescribeRule, events:PutRule, events:PutTargets on {RULE}TrainingJobsRule",
        f"iam:PassRole on ${{RunRole.Arn}} {TO_SAGEMAKER}",
        f"lambda:InvokeFunction on {LAMBDA}gate-model",
        f"lambda:InvokeFunction on {LAMBDA}prepare-training",
        f"lambda:InvokeFunction on {LAMBDA}training-outcome",
        "sagemaker:AddTags, sagemaker:CreateTrainingJob, sagemaker:DescribeTrainingJob, sagemaker:ListTags, "
        "sagemaker:StopTrainingJob "
        f"on {SAGEMAKER}training-job/menulens-test-*",
        f"sagemaker:CreateModelPackage on {PACKAGES}",
    ),
}
DEPLOY = machine(
    f"cloudwatch:DescribeAlarms on {ALARM}menulens-test-endpoint-*",
    f"iam:PassRole on ${{ModelRole.Arn}} {TO_SAGEMAKER}",
    f"lambda:InvokeFunction on {LAMBDA}prepare-deployment",
    f"lambda:InvokeFunction on {LAMBDA}smoke-test",
    "sagemaker:AddTags, sagemaker:CreateEndpoint, sagemaker:UpdateEndpoint on "
    f"{SAGEMAKER}endpoint-config/menulens-test-*, {SAGEMAKER}endpoint/menulens-test-vectors",
    f"sagemaker:AddTags, sagemaker:CreateEndpointConfig on {SAGEMAKER}endpoint-config/menulens-test-*",
    f"sagemaker:AddTags, sagemaker:CreateModel on {SAGEMAKER}model/menulens-test-*",
    f"sagemaker:DeleteEndpoint, sagemaker:DescribeEndpoint on {SAGEMAKER}endpoint/menulens-test-vectors",
    f"sagemaker:UpdateModelPackage on {SAGEMAKER}model-package/menulens-test-classifier/*",
)
ON_TARGETS = (
    "on arn:aws:application-autoscaling:us-east-1:111122223333:scalable-target/* "
    'if {"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}}'
)
NO_SCALING = {
    f"application-autoscaling:DeregisterScalableTarget {ON_TARGETS}",
    f"cloudwatch:DeleteAlarms on {ALARM}TargetTracking-*",
}
SCALING = {
    "application-autoscaling:DeregisterScalableTarget, application-autoscaling:PutScalingPolicy, "
    f"application-autoscaling:RegisterScalableTarget {ON_TARGETS}",
    f"cloudwatch:DeleteAlarms, cloudwatch:DescribeAlarms, cloudwatch:PutMetricAlarm on {ALARM}TargetTracking-*",
    "sagemaker:DescribeEndpointConfig, sagemaker:UpdateEndpointWeightsAndCapacities on "
    f"{SAGEMAKER}endpoint-config/menulens-test-*, {SAGEMAKER}endpoint/menulens-test-vectors",
    "iam:CreateServiceLinkedRole on arn:aws:iam::111122223333:role/aws-service-role/"
    "sagemaker.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint "
    'if {"StringLike": {"iam:AWSServiceName": "sagemaker.application-autoscaling.amazonaws.com"}}',
}
SERVING = {
    "serving container": {
        metrics("Endpoints"),
        f"{PULL} on arn:aws:ecr:us-east-1:763104351884:repository/tensorflow-inference",
        "ecr:GetAuthorizationToken on *",
        f"{WRITE_LOGS} on {LOGS}/aws/sagemaker/Endpoints/menulens-test-vectors:*, {LOGS}/aws/sagemaker/TransformJobs:*",
        f"s3:AbortMultipartUpload, s3:PutObject on {bucket('vectors', '/*/transform/*')}",
        f"s3:GetObject on {bucket('models', '/training/*')}, {bucket('vectors', '/*/packs/*')}",
        f"s3:ListBucket on {bucket('models')}, {bucket('vectors')}",
    },
    "step prepare_deployment": step(
        "prepare-deployment",
        f"sagemaker:DescribeEndpoint on {SAGEMAKER}endpoint/menulens-test-vectors",
        "sagemaker:DescribeEndpointConfig, sagemaker:DescribeModel on "
        f"{SAGEMAKER}endpoint-config/menulens-test-*, {SAGEMAKER}model/menulens-test-*",
        READ_REGISTRY,
    ),
    "step smoke_test": step("smoke-test", f"sagemaker:InvokeEndpoint on {SAGEMAKER}endpoint/menulens-test-vectors"),
    "state machine deploy": DEPLOY | NO_SCALING,
}
SIMILARITY = {
    "step plan_vectors": step(
        "plan-vectors",
        f"s3:AbortMultipartUpload, s3:PutObject on {bucket('vectors', '/*/plans/*')}",
        f"s3:DeleteObject on {bucket('vectors', '/*/done/*')}",
        f"s3:GetObject on {bucket('vectors', '/*/done/*')}, {bucket('vectors', '/*/rejects/*')}, "
        f"{bucket('vectors', '/*/shards/*')}",
        f"s3:ListBucket on {bucket('photos')}, {bucket('vectors')}",
        f"sagemaker:DescribeEndpoint on {SAGEMAKER}endpoint/menulens-test-vectors",
        f"sagemaker:DescribeModel on {SAGEMAKER}model/menulens-test-*",
        READ_REGISTRY,
        f"sagemaker:DescribeTransformJob on {SAGEMAKER}transform-job/menulens-test-*",
    ),
    "step pack_vectors": step(
        "pack-vectors",
        "s3:AbortMultipartUpload, s3:PutObject, s3:PutObjectTagging on "
        f"{bucket('vectors', '/*/packs/*')}, {bucket('vectors', '/*/rejects/*')}",
        f"s3:GetObject on {bucket('photos', '/photos/*')}, {bucket('vectors', '/*/plans/*')}",
        f"s3:ListBucket on {bucket('photos')}, {bucket('vectors')}",
    ),
    "step transform_outcome": step(
        "transform-outcome", f"sagemaker:DescribeTransformJob on {SAGEMAKER}transform-job/menulens-test-*"
    ),
    "step collect_vectors": step(
        "collect-vectors",
        f"s3:AbortMultipartUpload, s3:PutObject on {bucket('vectors', '/*/done/*')}, "
        f"{bucket('vectors', '/*/rejects/*')}, {bucket('vectors', '/*/shards/*')}",
        f"s3:DeleteObject on {bucket('vectors', '/*/packs/*')}, {bucket('vectors', '/*/rejects/*/*')}, "
        f"{bucket('vectors', '/*/transform/*')}",
        f"s3:GetObject on {bucket('vectors', '/*/done/*')}, {bucket('vectors', '/*/plans/*')}, "
        f"{bucket('vectors', '/*/rejects/*/*')}, {bucket('vectors', '/*/transform/*')}",
        f"s3:ListBucket on {bucket('vectors')}",
    ),
    "state machine vectorise": machine(
        f"events:DescribeRule, events:PutRule, events:PutTargets on {RULE}TransformJobsRule",
        f"iam:PassRole on ${{ModelRole.Arn}} {TO_SAGEMAKER}",
        f"lambda:InvokeFunction on {LAMBDA}collect-vectors",
        f"lambda:InvokeFunction on {LAMBDA}pack-vectors",
        f"lambda:InvokeFunction on {LAMBDA}plan-vectors",
        f"lambda:InvokeFunction on {LAMBDA}transform-outcome",
        f"sagemaker:AddTags, sagemaker:CreateModel on {SAGEMAKER}model/menulens-test-*",
        "sagemaker:AddTags, sagemaker:CreateTransformJob, sagemaker:DescribeTransformJob, sagemaker:ListTags, "
        "sagemaker:StopTransformJob "
        f"on {SAGEMAKER}model/menulens-test-*, {SAGEMAKER}transform-job/menulens-test-*",
        "states:DescribeExecution, states:RedriveExecution, states:StopExecution on "
        f"{STATES}execution:menulens-test-vectorise/packs:*, {STATES}execution:menulens-test-vectorise:*",
        f"states:StartExecution on {STATES}stateMachine:menulens-test-vectorise",
    ),
}


def found(template: dict[str, Any]) -> dict[str, set[str]]:
    """Return every role's statements, without the hashes that CDK puts in names."""
    answer = {}
    for description, role in roles(template).items():
        name = re.fullmatch(r"What the (.+?)(?: of)? menulens-test(?:-(\w+))? may do", description)
        assert name, description
        lines = {_plain(line) for line in statements(role)}
        answer[" ".join(part for part in name.groups() if part)] = lines
    return answer


def _plain(line: str) -> str:
    line = re.sub(r"/[0-9a-f]{64}\.", "/SOURCE.", line)
    return re.sub(r"\$\{(?:serving:ExportsOutputFnGetAtt)?(\w+?Role)[0-9A-F]{8}\.?Arn\w*\}", r"${\1.Arn}", line)


@pytest.mark.parametrize(("stack", "due"), [("training", TRAINING), ("serving", SERVING), ("similarity", SIMILARITY)])
def should_give_each_role_these_statements_and_no_other(stack: Stack, due: dict[str, set[str]]) -> None:
    assert found(templates("small")[stack]) == due


def should_add_what_auto_scaling_needs_only_where_the_endpoint_may_grow() -> None:
    assert found(templates("large")["serving"])["state machine deploy"] == DEPLOY | SCALING


@pytest.mark.parametrize("stack", ["training", "serving", "similarity"])
def should_keep_every_permission_in_a_role_of_its_own(stack: Stack) -> None:
    for resource in templates("small")[stack]["Resources"].values():
        assert resource["Type"] not in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")


@pytest.mark.parametrize("stack", ["training", "serving", "similarity"])
def should_let_each_role_be_assumed_by_one_service(stack: Stack) -> None:
    for description, role in roles(templates("small")[stack]).items():
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        service = trust["Principal"]["Service"]
        if "container" in description:
            assert service == "sagemaker.amazonaws.com"
            assert json.dumps(trust["Condition"]) == '{"StringEquals": {"aws:SourceAccount": "111122223333"}}'
        else:
            assert service == ("lambda.amazonaws.com" if "step" in description else "states.amazonaws.com")
