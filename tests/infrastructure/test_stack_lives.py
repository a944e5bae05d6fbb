"""Stacks are made, changed and taken down: what is kept, what a failed first try leaves, what stacks have of others."""

import json
from pathlib import Path

from menulens.core import names
from menulens.serving.deployment import VARIANT
from tests.infrastructure.conftest import ROOT, templates_in

# In an account these have contents that no deployment can make again; the last one can't be deleted with contents.
KEPT = {
    "AWS::S3::Bucket",
    "AWS::DynamoDB::Table",
    "AWS::Cognito::UserPool",
    "AWS::KMS::Key",
    "AWS::SageMaker::ModelPackageGroup",
}


def should_keep_contents_in_an_account_yet_leave_nothing_of_a_creation_that_failed(production: Path) -> None:
    policies = {
        f"{room}/{name}": (resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy"))
        for room, template in templates_in(production).items()
        for name, resource in template["Resources"].items()
        if resource["Type"] in KEPT
    }
    assert len(policies) == 12
    # Plain Retain would keep fixed names after a failed creation, and the next try would meet them.
    assert set(policies.values()) == {("RetainExceptOnCreate", "Retain")}


def should_let_the_local_cloud_take_everything_away(assembly: Path) -> None:
    policies = {
        resource.get("DeletionPolicy", "Delete")
        for template in templates_in(assembly).values()
        for resource in template["Resources"].values()
    }
    assert policies == {"Delete"}


def should_tell_how_to_delete_the_endpoint_which_no_stack_deletes(production: Path) -> None:
    made = {
        resource["Type"]
        for template in templates_in(production).values()
        for resource in template["Resources"].values()
    }
    assert "AWS::SageMaker::Endpoint" not in made
    told = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    _, heading, taking_down = told.partition("## Taking an environment down")
    assert heading
    endpoint = names.endpoint("<environment>")
    delete, scaling, destroy = (
        taking_down.index(command)
        for command in (
            f"aws sagemaker delete-endpoint --region <region> --endpoint-name {endpoint}\n",
            f"--resource-id endpoint/{endpoint}/variant/{VARIANT} ",
            "cdk destroy --all --context environment=<environment>",
        )
    )
    assert scaling < delete < destroy


def exports(folder: Path) -> set[str]:
    """Return what stacks give each other, without the environment's name."""
    return {
        output["Export"]["Name"].split("-", 2)[2]
        for file in folder.glob("*.template.json")
        for output in json.loads(file.read_text()).get("Outputs", {}).values()
        if "Export" in output
    }


def should_give_other_stacks_the_same_whatever_the_settings(
    assembly: Path, production: Path, of_ground_truth: Path
) -> None:
    """CloudFormation takes away no export that a stack deployed before still imports."""
    assert exports(assembly) > {"workforce:ExportsOutputRefPoolD3F588B86FF122B2"}
    assert exports(production) == exports(assembly), "with a domain, with a budget"
    assert exports(of_ground_truth) == exports(assembly), "labeling goes on in Ground Truth, or in the portal again"
