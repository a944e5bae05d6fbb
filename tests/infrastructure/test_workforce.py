"""The team: invited by e-mail, strong passwords, deleted before the pool; created, or in an existing workforce."""

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Template

from menulens.settings import Settings, load_settings
from stacks.workforce_stack import WorkforceStack
from tests.tools.lint_templates import resolved

ROOT = Path(__file__).resolve().parents[2]
ARN = "arn:aws:sagemaker:us-east-1:123456789012:workforce/spring"


def any_settings(**labeling: Any) -> Settings:
    values = load_settings(ROOT / "config" / "local.toml").model_dump(mode="json")
    values["labeling"] |= {"members": ["aki@example.com", "ben@example.com"], **labeling}
    return Settings.model_validate(values)


def synthesized(settings: Settings) -> dict[str, Any]:
    app = cdk.App()
    key = kms.Key(cdk.Stack(app, "keys"), "Key")
    template = Template.from_stack(WorkforceStack(app, "workforce", settings=settings, key=key)).to_json()
    found: dict[str, Any] = resolved(dict(template))["Resources"]
    return found


@pytest.fixture(scope="module")
def own() -> dict[str, Any]:
    return synthesized(any_settings())


@pytest.fixture(scope="module")
def imported() -> dict[str, Any]:
    return synthesized(any_settings(workforce_arn=ARN))


def of(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [resource["Properties"] for resource in template.values() if resource["Type"] == kind]


def should_ask_for_strong_passwords_and_offer_a_second_factor(own: dict[str, Any]) -> None:
    (pool,) = of(own, "AWS::Cognito::UserPool")
    assert pool["Policies"]["PasswordPolicy"] == {
        "MinimumLength": 12,
        "RequireLowercase": True,
        "RequireNumbers": True,
        "RequireSymbols": True,
        "RequireUppercase": True,
        "TemporaryPasswordValidityDays": 7,
    }
    assert (pool["MfaConfiguration"], pool["EnabledMfas"]) == ("OPTIONAL", ["SOFTWARE_TOKEN_MFA"])
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    assert pool["UsernameAttributes"] == ["email"]


@pytest.mark.parametrize(("wish", "expected"), [("off", "OFF"), ("required", "ON")])
def should_follow_the_settings_about_the_second_factor(wish: str, expected: str) -> None:
    (pool,) = of(synthesized(any_settings(require_totp=wish)), "AWS::Cognito::UserPool")
    assert pool["MfaConfiguration"] == expected


@pytest.mark.parametrize("kind", ["own", "imported"])
def should_invite_every_member_by_e_mail_into_the_group(request: pytest.FixtureRequest, kind: str) -> None:
    template = request.getfixturevalue(kind)
    users = of(template, "AWS::Cognito::UserPoolUser")
    assert sorted(user["Username"] for user in users) == ["aki@example.com", "ben@example.com"]
    for user in users:
        assert user["DesiredDeliveryMediums"] == ["EMAIL"]
        assert {item["Name"]: item["Value"] for item in user["UserAttributes"]} == {
            "email": user["Username"],
            "email_verified": "true",
        }
    assert len(of(template, "AWS::Cognito::UserPoolUserToGroupAttachment")) == len(users)
    told = of(template, "AWS::SNS::Subscription")
    assert sorted(item["Endpoint"] for item in told) == ["aki@example.com", "ben@example.com"]


def should_delete_the_team_before_the_workforce_and_that_before_the_domain(own: dict[str, Any]) -> None:
    (team,) = (item for item in own.values() if item["Type"] == "AWS::SageMaker::Workteam")
    (workforce,) = (item for item in own.values() if item["Type"] == "AWS::SageMaker::Workforce")
    (domain,) = (name for name, item in own.items() if item["Type"] == "AWS::Cognito::UserPoolDomain")
    assert team["DependsOn"] == ["Workforce"]
    assert workforce["DependsOn"] == [domain]
    assert "Group" in json.dumps(team["Properties"]["MemberDefinitions"])


def should_tell_the_team_of_new_work(own: dict[str, Any]) -> None:
    (team,) = of(own, "AWS::SageMaker::Workteam")
    assert "NewWork" in team["NotificationConfiguration"]["NotificationTopicArn"]
    assert (team["WorkteamName"], team["WorkforceName"]) == ("menulens-local-annotators", "menulens-local-workforce")


def should_use_an_existing_workforce_and_make_no_second_one(imported: dict[str, Any]) -> None:
    assert of(imported, "AWS::SageMaker::Workforce") == of(imported, "AWS::Cognito::UserPool") == []
    (team,) = of(imported, "AWS::SageMaker::Workteam")
    assert team["WorkforceName"] == "spring"
    (look_up,) = of(imported, "Custom::AWS")
    assert json.loads(look_up["Create"])["parameters"] == {"WorkforceName": "spring"}
    documents = [
        role["Policies"][0]["PolicyDocument"]["Statement"]
        for role in of(imported, "AWS::IAM::Role")
        if "Looks up" in role.get("Description", "")
    ]
    ((describe, write_log),) = documents
    assert describe == {"Action": "sagemaker:DescribeWorkforce", "Effect": "Allow", "Resource": ARN}
    assert (write_log["Action"], write_log["Effect"]) == (["logs:CreateLogStream", "logs:PutLogEvents"], "Allow")
    assert "LookUpLogs" in write_log["Resource"]
