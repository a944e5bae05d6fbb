"""Names of deployed resources, derived from the environment so that no one has to look them up."""

from typing import Literal

Room = Literal["photos", "labels", "datasets", "models", "vectors", "answers", "page", "access-logs"]
Machine = Literal["label", "clean", "snapshot", "add", "train", "deploy", "vectorise"]

MACHINES: tuple[Machine, ...] = ("label", "clean", "snapshot", "add", "train", "deploy", "vectorise")


def prefix(environment: str) -> str:
    """Return the first part of every resource name, as in ``menulens-local``."""
    return f"menulens-{environment}"


def bucket(environment: str, room: Room, account: str, region: str) -> str:
    """Return a bucket's name; account and region make it unique in the partition."""
    return f"{prefix(environment)}-{room}-{account}-{region}"


def state_machine(environment: str, machine: Machine) -> str:
    """Return a state machine's name."""
    return f"{prefix(environment)}-{machine}"


def state_machine_arn(environment: str, machine: Machine, account: str, region: str, partition: str = "aws") -> str:
    """Return a state machine's ARN."""
    return f"arn:{partition}:states:{region}:{account}:stateMachine:{state_machine(environment, machine)}"


def endpoint(environment: str) -> str:
    """Return the name of the endpoint that serves feature vectors."""
    return f"{prefix(environment)}-vectors"


def model_package_group(environment: str) -> str:
    """Return the name of the model package group whose newest approved version is the champion."""
    return f"{prefix(environment)}-classifier"


def workteam(environment: str) -> str:
    """Return the name of the private labeling team."""
    return f"{prefix(environment)}-annotators"


def labeling_table(environment: str) -> str:
    """Return the name of the table that the labeling portal keeps its jobs, items and answers in."""
    return f"{prefix(environment)}-labeling"


def annotators(environment: str) -> str:
    """Return the user group whose members label."""
    return f"{prefix(environment)}-annotators"


def owners(environment: str) -> str:
    """Return the user group whose members own labeling jobs."""
    return f"{prefix(environment)}-owners"
