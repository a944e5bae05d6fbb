"""Stacks are made, changed and taken down: what is kept, what a failed first try leaves, what stacks have of others."""

from pathlib import Path

from tests.infrastructure.conftest import templates_in

# In an account these have contents that no deployment can make again.
KEPT = {
    "AWS::S3::Bucket",
    "AWS::DynamoDB::Table",
    "AWS::Cognito::UserPool",
    "AWS::KMS::Key",
}


def should_keep_contents_in_an_account_yet_leave_nothing_of_a_creation_that_failed(production: Path) -> None:
    policies = {
        f"{room}/{name}": (resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy"))
        for room, template in templates_in(production).items()
        for name, resource in template["Resources"].items()
        if resource["Type"] in KEPT
    }
    assert len(policies) == 11
    # Plain Retain would keep fixed names after a failed creation, and the next try would meet them.
    assert set(policies.values()) == {("RetainExceptOnCreate", "Retain")}


def should_let_the_local_cloud_take_everything_away(assembly: Path) -> None:
    policies = {
        resource.get("DeletionPolicy", "Delete")
        for template in templates_in(assembly).values()
        for resource in template["Resources"].values()
    }
    assert policies == {"Delete"}
