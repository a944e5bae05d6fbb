"""Settings → stacks → checks. No call to AWS is made here."""

import sys

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from menulens.core import names
from menulens.settings import Settings, SettingsError, settings_of
from stacks.front_stack import FrontStack
from stacks.labeling_stack import LabelingStack
from stacks.operations_stack import OperationsStack
from stacks.portal_stack import PortalStack
from stacks.serving_stack import ServingStack
from stacks.similarity_stack import SimilarityStack
from stacks.steps.news import News
from stacks.storage_stack import StorageStack
from stacks.training_stack import TrainingStack
from stacks.workforce_stack import WorkforceStack


def build(app: cdk.App, settings: Settings) -> None:
    """Add every stack of an environment to an app."""
    prefix = names.prefix(settings.environment)
    storage = StorageStack(app, f"{prefix}-storage", settings=settings)
    front = FrontStack(app, f"{prefix}-front", settings=settings, access_logs=storage.access_logs)
    workforce = WorkforceStack(
        app,
        f"{prefix}-workforce",
        settings=settings,
        key=storage.key,
        address=front.address,
        sign_in=front.sign_in,
    )
    portal = PortalStack(
        app, f"{prefix}-portal", settings=settings, key=storage.key, front=front, sign_in=workforce.sign_in
    )
    labeling = LabelingStack(
        app, f"{prefix}-labeling", settings=settings, inputs=storage.inputs, team_arn=workforce.team_arn
    )
    labeling.add_stack_dependency(workforce, "Labeling jobs name its team")
    training = TrainingStack(app, f"{prefix}-training", settings=settings, inputs=storage.inputs)
    serving = ServingStack(app, f"{prefix}-serving", settings=settings, inputs=storage.inputs)
    similarity = SimilarityStack(
        app, f"{prefix}-similarity", settings=settings, inputs=storage.inputs, model_role=serving.model_role
    )
    OperationsStack(
        app,
        f"{prefix}-operations",
        settings=settings,
        key=storage.key,
        machines={
            **labeling.machines,
            "train": training.state_machine,
            "deploy": serving.state_machine,
            "vectorise": similarity.state_machine,
        },
        finish=portal.finish,
        news=News(
            workforce.new_work.topic_arn, workforce.to_owners.topic_arn, front.address, workforce.sign_in.pool_id
        ),
    )
    cdk.Tags.of(app).add("project", "menulens")
    cdk.Tags.of(app).add("environment", settings.environment)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app, verbose=True))


if __name__ == "__main__":
    app = cdk.App()
    try:
        build(app, settings_of(app.node.try_get_context("environment") or "local"))
    except SettingsError as error:
        sys.exit(str(error))
    app.synth()
