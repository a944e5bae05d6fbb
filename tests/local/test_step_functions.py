"""State machines of the local cloud: SageMaker tasks, ``.sync``, their errors, and the events that jobs send."""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from menulens.local.config import ACCOUNT
from tests.local.conftest import Room, Training, any_name, wait_until
from tests.local.crowd import gather

ROLE = f"arn:aws:iam::{ACCOUNT}:role/states"


class Machines:
    def __init__(self, cloud: Room) -> None:
        self.states = cloud.client("stepfunctions")

    def run(self, states: dict[str, Any], given: dict[str, Any] | None = None) -> dict[str, Any]:
        arn = self.start(states, given)
        execution: dict[str, Any] = wait_until(lambda: self.ended(arn))
        return execution

    def start(self, states: dict[str, Any], given: dict[str, Any] | None = None) -> str:
        definition = json.dumps({"StartAt": next(iter(states)), "States": states})
        machine = self.states.create_state_machine(name=any_name("machine"), definition=definition, roleArn=ROLE)
        started = self.states.start_execution(
            stateMachineArn=machine["stateMachineArn"], name=any_name("run"), input=json.dumps(given or {})
        )
        return str(started["executionArn"])

    def ended(self, arn: str) -> dict[str, Any] | None:
        execution = self.states.describe_execution(executionArn=arn)
        return None if execution["status"] == "RUNNING" else execution


@pytest.fixture
def machines(cloud: Room) -> Machines:
    return Machines(cloud)


def _task(action: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": f"arn:aws:states:::{action}", "Parameters": parameters, "End": True, **more}


def should_wait_for_a_training_job_and_give_its_description(machines: Machines, training: Training) -> None:
    request = training.request("print('trained')")
    execution = machines.run({"Train": _task("sagemaker:createTrainingJob.sync", request)})
    assert execution["status"] == "SUCCEEDED", execution
    output = json.loads(execution["output"])
    assert output["TrainingJobName"] == request["TrainingJobName"]
    assert output["ModelArtifacts"]["S3ModelArtifacts"].endswith("model.tar.gz")
    assert isinstance(output["CreationTime"], int)


def should_fail_a_task_with_the_jobs_description_as_cause(machines: Machines, training: Training) -> None:
    states = {
        "Train": _task(
            "sagemaker:createTrainingJob.sync",
            training.request("raise SystemExit('no light')"),
            Catch=[{"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.error", "Next": "Caught"}],
        ),
        "Caught": {"Type": "Pass", "End": True},
    }
    execution = machines.run(states)
    error = json.loads(execution["output"])["error"]
    assert error["Error"] == "States.TaskFailed"
    assert "no light" in json.loads(error["Cause"])["FailureReason"]


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("sagemaker:createTrainingJob.sync", "SageMaker.ResourceInUseException"),
        ("aws-sdk:sagemaker:createTrainingJob", "SageMaker.ResourceInUseException"),
    ],
)
def should_name_a_taken_job_name_as_aws_does(machines: Machines, training: Training, action: str, name: str) -> None:
    request = training.request("pass")
    training.sagemaker.create_training_job(**request)
    states = {
        "Train": _task(action, request, Catch=[{"ErrorEquals": [name], "Next": "There"}]),
        "There": {"Type": "Pass", "Result": "already there", "End": True},
    }
    execution = machines.run(states)
    assert json.loads(execution["output"]) == "already there"


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("sagemaker:createModel", "SageMaker.AmazonSageMakerException"),
        ("aws-sdk:sagemaker:createModel", "SageMaker.SageMakerException"),
    ],
)
def should_name_a_wrong_request_as_aws_does(machines: Machines, action: str, name: str) -> None:
    execution = machines.run({"Model": _task(action, {"ModelName": "_"})})
    assert (execution["status"], execution["error"]) == ("FAILED", name)
    assert "modelName" in execution["cause"]


def should_give_sdk_answers_with_times_as_text(machines: Machines, training: Training) -> None:
    name = training.start("pass")
    training.ended(name)
    execution = machines.run({"Look": _task("aws-sdk:sagemaker:describeTrainingJob", {"TrainingJobName": name})})
    output = json.loads(execution["output"])
    assert output["TrainingJobStatus"] == "Completed"
    assert output["CreationTime"].endswith("Z")


_FRESH = "States.Format('{}-{{}}', States.UUID())"


def _stop(machines: Machines, arn: str) -> None:
    machines.states.stop_execution(executionArn=arn, error="Enough", cause="the menu changed")


def _stays_stopped(machines: Machines, arn: str) -> None:
    machines.run({"Pass": {"Type": "Pass", "End": True}})  # time enough for the stopped one to say more
    execution = machines.ended(arn)
    assert execution
    assert (execution["status"], execution["error"], execution["cause"]) == ("ABORTED", "Enough", "the menu changed")
    told = [one["type"] for one in machines.states.get_execution_history(executionArn=arn, maxResults=100)["events"]]
    assert told[-1] == "ExecutionAborted"


@pytest.mark.parametrize("inside", ["machine", "branch"])
@pytest.mark.parametrize("handled", [False, True], ids=["bare", "retried"])
def should_stop_the_training_job_of_a_stopped_execution(
    machines: Machines, training: Training, inside: str, handled: bool
) -> None:
    request = training.request("import time\ntime.sleep(600)")
    start = request.pop("TrainingJobName")
    task = _task("sagemaker:createTrainingJob.sync", {**request, "TrainingJobName.$": _FRESH.format(start)})
    states: dict[str, Any] = {"Job": task, "Caught": {"Type": "Pass", "End": True}}
    if handled:  # each try would be a job of another name
        task["Retry"] = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 0, "MaxAttempts": 3}]
        task["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    if inside == "branch":
        branches = [{"StartAt": "Job", "States": states}]
        states = {"Both": {"Type": "Parallel", "Branches": branches, "End": True}}
    arn = machines.start(states)

    def found() -> list[dict[str, Any]]:
        listed = training.sagemaker.list_training_jobs(NameContains=start)["TrainingJobSummaries"]
        return [_described(training, one["TrainingJobName"]) for one in listed]

    wait_until(lambda: any(job["SecondaryStatus"] == "Training" for job in found()))
    _stop(machines, arn)
    wait_until(lambda: all(job["TrainingJobStatus"] == "Stopped" for job in found()))
    _stays_stopped(machines, arn)
    assert [job["SecondaryStatus"] for job in found()] == ["Stopped"]


def _described(training: Training, name: str) -> dict[str, Any]:
    described: dict[str, Any] = training.sagemaker.describe_training_job(TrainingJobName=name)
    return described


def should_stop_the_labeling_job_of_a_stopped_execution(machines: Machines, cloud: Room, bucket: str) -> None:
    crowd = gather(cloud, bucket)
    crowd.end(crowd.start(1))  # what a job needs is in the bucket now
    name = any_name("labels")
    crowd.put_manifest(name, crowd.put_photos(2))
    arn = machines.start({"Job": _task("sagemaker:createLabelingJob.sync", crowd.request(name))})
    wait_until(lambda: crowd.sagemaker.list_labeling_jobs(NameContains=name)["LabelingJobSummaryList"])
    crowd.status(name, "InProgress")
    _stop(machines, arn)
    assert crowd.status(name)["LabelingJobStatus"] == "Stopped"
    assert len(crowd.manifest(name)) == 2
    _stays_stopped(machines, arn)


def should_leave_a_job_alone_that_nobody_waits_for(machines: Machines, training: Training) -> None:
    request = training.request("import time\ntime.sleep(600)")
    start = _task("sagemaker:createTrainingJob", request)
    del start["End"]
    wait = {"Type": "Wait", "Seconds": 600, "End": True}
    arn = machines.start({"Start": {**start, "Next": "Wait"}, "Wait": wait})
    name = request["TrainingJobName"]
    wait_until(lambda: training.sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"])
    _stop(machines, arn)
    machines.run({"Pass": {"Type": "Pass", "End": True}})
    assert _described(training, name)["TrainingJobStatus"] == "InProgress"
    training.sagemaker.stop_training_job(TrainingJobName=name)
    training.ended(name)


def should_not_use_the_processor_while_it_waits(machines: Machines, training: Training, cloud: Room) -> None:
    request = training.request("import time\ntime.sleep(2.5)")
    arn = machines.start({"Train": _task("sagemaker:createTrainingJob.sync", request)})
    record = cloud.state.running()
    assert record and record.process
    time.sleep(0.6)
    server = psutil.Process(record.pid)
    before = sum(server.cpu_times()[:2])
    time.sleep(1.2)
    assert sum(server.cpu_times()[:2]) - before < 0.6
    wait_until(lambda: machines.ended(arn))


def _function(cloud: Room, code: str) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("handler.py", code)
    answer = cloud.client("lambda").create_function(
        FunctionName=any_name("function"),
        Runtime="python3.13",
        Role=ROLE,
        Handler="handler.handler",
        Code={"ZipFile": buffer.getvalue()},
        Timeout=20,
    )
    return str(answer["FunctionArn"])


def should_catch_a_handlers_exception_by_its_type(machines: Machines, cloud: Room) -> None:
    code = (
        "class DarkError(Exception):\n    pass\ndef handler(event, context):\n    raise DarkError('dark:\\nno light')"
    )
    states = {
        "Look": _task(
            "lambda:invoke",
            {"FunctionName": _function(cloud, code), "Payload": {}},
            Catch=[{"ErrorEquals": ["DarkError"], "Next": "Caught"}],
        ),
        "Caught": {"Type": "Pass", "End": True},
    }
    execution = machines.run(states)
    assert execution["status"] == "SUCCEEDED", execution
    caught = json.loads(execution["output"])
    assert caught["Error"] == "DarkError"
    cause = json.loads(caught["Cause"])
    assert (cause["errorType"], cause["errorMessage"]) == ("DarkError", "dark:\nno light")
    assert "@error-type" not in caught["Cause"]


def should_send_an_event_at_each_change_of_a_job(training: Training, cloud: Room) -> None:
    events, sqs = cloud.client("events"), cloud.client("sqs")
    queue = sqs.create_queue(QueueName=any_name("queue"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = any_name("rule")
    name = any_name("training")
    pattern = {"source": ["aws.sagemaker"], "detail": {"TrainingJobName": [name]}}
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": arn}])
    request = training.request("pass", TrainingJobName=name, Tags=[{"Key": "stage", "Value": "train"}])
    training.sagemaker.create_training_job(**request)
    seen: list[dict[str, Any]] = []

    def completed() -> bool:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ()):
            seen.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return any(event["detail"]["TrainingJobStatus"] == "Completed" for event in seen)

    wait_until(completed)
    last = next(event for event in seen if event["detail"]["TrainingJobStatus"] == "Completed")
    assert last["detail-type"] == "SageMaker Training Job State Change"
    assert last["resources"] == [f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-job/{name}"]
    assert last["detail"]["Tags"] == {"stage": "train"}
    assert isinstance(last["detail"]["CreationTime"], int)
    assert "InProgress" in {event["detail"]["TrainingJobStatus"] for event in seen}


TEMPLATE = {
    "Resources": {
        "Group": {
            "Type": "AWS::SageMaker::ModelPackageGroup",
            "Properties": {"ModelPackageGroupName": "from-a-stack", "ModelPackageGroupDescription": "first"},
        },
        "Pool": {"Type": "AWS::Cognito::UserPool", "Properties": {"UserPoolName": "stack-pool"}},
        "People": {
            "Type": "AWS::Cognito::UserPoolGroup",
            "Properties": {"GroupName": "people", "UserPoolId": {"Ref": "Pool"}},
        },
        "Someone": {
            "Type": "AWS::Cognito::UserPoolUser",
            "Properties": {"UserPoolId": {"Ref": "Pool"}, "Username": "mai@example.com", "MessageAction": "SUPPRESS"},
        },
        "Membership": {
            "Type": "AWS::Cognito::UserPoolUserToGroupAttachment",
            "DependsOn": "People",
            "Properties": {"UserPoolId": {"Ref": "Pool"}, "Username": {"Ref": "Someone"}, "GroupName": "people"},
        },
    },
    "Outputs": {"Arn": {"Value": {"Ref": "Group"}}, "PoolId": {"Value": {"Ref": "Pool"}}},
}


def should_make_and_delete_the_resources_of_a_stack(cloud: Room, sagemaker: Any) -> None:
    cloudformation, cognito = cloud.client("cloudformation"), cloud.client("cognito-idp")
    name = any_name("stack")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(TEMPLATE))

    def settled() -> dict[str, Any] | None:
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack

    stack = wait_until(settled)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert outputs["Arn"].endswith(":model-package-group/from-a-stack")
    users = cognito.list_users_in_group(UserPoolId=outputs["PoolId"], GroupName="people")["Users"]
    assert len(users) == 1
    assert sagemaker.describe_model_package_group(ModelPackageGroupName="from-a-stack")
    cloudformation.delete_stack(StackName=name)
    wait_until(
        lambda: "from-a-stack" not in json.dumps(sagemaker.list_model_package_groups(MaxResults=100), default=str)
    )


def should_fail_a_stack_whose_resource_is_refused(cloud: Room) -> None:
    cloudformation = cloud.client("cloudformation")
    name = any_name("stack")
    bad = {
        "Resources": {
            "Group": {"Type": "AWS::SageMaker::ModelPackageGroup", "Properties": {"ModelPackageGroupName": "_"}}
        }
    }
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(bad))

    def reason() -> str | None:
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        failed = [item for item in events if item["ResourceStatus"] == "CREATE_FAILED"]
        return str(failed[0]["ResourceStatusReason"]) if failed else None

    assert "modelPackageGroupName" in wait_until(reason)
