"""The team: invited by e-mail, strong passwords, deleted before the pool; created, or in an existing workforce."""

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Template

from menulens.settings import Settings, load_settings
from stacks.steps.base import in_region
from stacks.workforce_stack import WorkforceStack
from tests.tools.apps import app_of_templates
from tests.tools.lint_templates import resolved

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://d111111abcdef8.cloudfront.net"
SIGN_IN = "https://menulens-local-111122223333.auth.us-east-1.amazoncognito.com"
ARN = "arn:aws:sagemaker:us-east-1:123456789012:workforce/spring"


def any_settings(**labeling: Any) -> Settings:
    values = load_settings(ROOT / "config" / "local.toml").model_dump(mode="json")
    values["labeling"] |= {
        "members": ["aki@example.com", "ben@example.com"],
        "owners": ["Ben@example.com", "owner@example.com"],
        **labeling,
    }
    return Settings.model_validate(values)


def synthesized(settings: Settings) -> dict[str, Any]:
    app = app_of_templates()
    key = kms.Key(cdk.Stack(app, "keys", env=in_region(settings)), "Key")
    stack = WorkforceStack(app, "workforce", settings=settings, key=key, address=ADDRESS, sign_in=SIGN_IN)
    template = Template.from_stack(stack).to_json()
    found: dict[str, Any] = resolved(dict(template))["Resources"]
    return found


@pytest.fixture(scope="module")
def own() -> dict[str, Any]:
    return synthesized(any_settings())


@pytest.fixture(scope="module")
def imported() -> dict[str, Any]:
    return synthesized(any_settings(workforce_arn=ARN, provider="ground_truth"))


@pytest.fixture(scope="module")
def ground_truth() -> dict[str, Any]:
    return synthesized(any_settings(provider="ground_truth"))


@pytest.fixture(scope="module")
def imported_for_the_portal() -> dict[str, Any]:
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


KINDS = ["own", "imported", "ground_truth", "imported_for_the_portal"]


PEOPLE = ["aki@example.com", "ben@example.com", "owner@example.com"]


@pytest.mark.parametrize("kind", ["own", "ground_truth"])
def should_make_everyone_a_user_of_our_own_pool_once(request: pytest.FixtureRequest, kind: str) -> None:
    users = of(request.getfixturevalue(kind), "AWS::Cognito::UserPoolUser")
    assert sorted(user["Username"] for user in users) == PEOPLE
    for user in users:
        assert user["DesiredDeliveryMediums"] == ["EMAIL"]
        assert {item["Name"]: item["Value"] for item in user["UserAttributes"]} == {
            "email": user["Username"],
            "email_verified": "true",
        }


@pytest.mark.parametrize("kind", ["imported", "imported_for_the_portal"])
def should_invite_into_an_imported_pool_and_own_nobody_there(request: pytest.FixtureRequest, kind: str) -> None:
    """Its people may be there already, and others may need them when our stacks go."""
    template = request.getfixturevalue(kind)
    assert of(template, "AWS::Cognito::UserPoolUser") == []
    ((name, invited),) = ((name, item) for name, item in template.items() if item["Type"] == "Custom::People")
    assert sorted(invited["Properties"]["Emails"]) == PEOPLE
    attachments = [item for item in template.values() if item["Type"] == "AWS::Cognito::UserPoolUserToGroupAttachment"]
    assert all(name in item["DependsOn"] for item in attachments)
    (role,) = (item for item in of(template, "AWS::IAM::Role") if "invite_people" in item.get("Description", ""))
    *_, create = role["Policies"][0]["PolicyDocument"]["Statement"]
    assert len(role["Policies"][0]["PolicyDocument"]["Statement"]) == 3, "beside its log and its trace"
    assert (create["Action"], create["Effect"]) == ("cognito-idp:AdminCreateUser", "Allow")
    assert "LookUp" in create["Resource"], "the one pool that is looked up"
    assert "*" not in create["Resource"]


@pytest.mark.parametrize("kind", KINDS)
def should_put_everyone_into_the_groups(request: pytest.FixtureRequest, kind: str) -> None:
    template = request.getfixturevalue(kind)
    users = {
        name: resource["Properties"]["Username"]
        for name, resource in template.items()
        if resource["Type"] == "AWS::Cognito::UserPoolUser"
    }
    groups = {
        name: resource["Properties"]["GroupName"]
        for name, resource in template.items()
        if resource["Type"] == "AWS::Cognito::UserPoolGroup"
    }
    assert sorted(groups.values()) == ["menulens-local-annotators", "menulens-local-owners"]
    members = [
        (
            groups[_named(item["GroupName"], groups)],
            users[_named(item["Username"], users)] if users else item["Username"],
        )
        for item in of(template, "AWS::Cognito::UserPoolUserToGroupAttachment")
    ]
    assert sorted(members) == [
        ("menulens-local-annotators", "aki@example.com"),
        ("menulens-local-annotators", "ben@example.com"),
        ("menulens-local-owners", "ben@example.com"),
        ("menulens-local-owners", "owner@example.com"),
    ]


def _named(resolved_reference: str, candidates: dict[str, Any]) -> str:
    """Return the logical id that a resolved reference ends in."""
    (found,) = (name for name in candidates if resolved_reference.endswith(f":{name}"))
    return found


@pytest.mark.parametrize("kind", KINDS)
def should_tell_annotators_and_owners_by_e_mail(request: pytest.FixtureRequest, kind: str) -> None:
    told = of(request.getfixturevalue(kind), "AWS::SNS::Subscription")
    by_topic = sorted((item["TopicArn"].rpartition(":")[2][:7], item["Endpoint"]) for item in told)
    assert by_topic == [
        ("NewWork", "aki@example.com"),
        ("NewWork", "ben@example.com"),
        ("ToOwner", "Ben@example.com"),
        ("ToOwner", "owner@example.com"),
    ]


def should_invite_with_a_link_that_leads_straight_to_the_page(own: dict[str, Any]) -> None:
    (pool,) = of(own, "AWS::Cognito::UserPool")
    invitation = pool["AdminCreateUserConfig"]["InviteMessageTemplate"]
    body = invitation["EmailMessage"]
    assert body.count(f'<a href="{ADDRESS}/">') == 2
    # Cognito fills these in.
    assert body.count("{username}") == body.count("{####}") == 2
    assert "仮パスワード" in body
    assert "temporary password" in body
    assert len(body) < 20_000


@pytest.mark.parametrize("kind", KINDS)
def should_sign_in_to_the_page_without_a_secret_by_code_alone(request: pytest.FixtureRequest, kind: str) -> None:
    clients = of(request.getfixturevalue(kind), "AWS::Cognito::UserPoolClient")
    (client,) = (client for client in clients if client["ClientName"] == "menulens-local-page")
    assert client["GenerateSecret"] is False
    assert client["AllowedOAuthFlows"] == ["code"]
    assert client["AllowedOAuthScopes"] == ["openid", "email", "aws.cognito.signin.user.admin"]
    assert client["CallbackURLs"] == client["LogoutURLs"] == [f"{ADDRESS}/"]
    assert client["ExplicitAuthFlows"] == ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    assert client["EnableTokenRevocation"] is True
    assert (client["AccessTokenValidity"], client["TokenValidityUnits"]["AccessToken"]) == (60, "minutes")


def should_make_nothing_of_ground_truth_where_the_portal_asks(
    own: dict[str, Any], imported_for_the_portal: dict[str, Any]
) -> None:
    for template in (own, imported_for_the_portal):
        assert not [item for item in template.values() if item["Type"].startswith("AWS::SageMaker::")]
        assert "sagemaker.amazonaws.com" not in json.dumps(of(template, "AWS::SNS::TopicPolicy"))
        assert len(of(template, "AWS::Cognito::UserPoolClient")) == 1


def should_look_up_where_members_of_an_imported_pool_sign_in(imported_for_the_portal: dict[str, Any]) -> None:
    calls = [json.loads(item["Create"]) for item in of(imported_for_the_portal, "Custom::AWS")]
    assert [call["action"] for call in calls] == ["describeWorkforce", "describeUserPool"]
    assert calls[1]["outputPaths"] == ["UserPool.Domain"]


def should_delete_the_team_before_the_workforce_and_that_before_the_domain(ground_truth: dict[str, Any]) -> None:
    own = ground_truth
    (team,) = (item for item in own.values() if item["Type"] == "AWS::SageMaker::Workteam")
    (workforce,) = (item for item in own.values() if item["Type"] == "AWS::SageMaker::Workforce")
    (domain,) = (name for name, item in own.items() if item["Type"] == "AWS::Cognito::UserPoolDomain")
    assert team["DependsOn"] == ["Workforce"]
    assert workforce["DependsOn"] == [domain]
    assert "Group" in json.dumps(team["Properties"]["MemberDefinitions"])


def should_let_ground_truth_tell_the_team_of_new_work(ground_truth: dict[str, Any]) -> None:
    (team,) = of(ground_truth, "AWS::SageMaker::Workteam")
    assert "NewWork" in team["NotificationConfiguration"]["NotificationTopicArn"]
    assert (team["WorkteamName"], team["WorkforceName"]) == ("menulens-local-annotators", "menulens-local-workforce")


def should_use_an_existing_workforce_and_make_no_second_one(imported: dict[str, Any]) -> None:
    assert of(imported, "AWS::SageMaker::Workforce") == of(imported, "AWS::Cognito::UserPool") == []
    (team,) = of(imported, "AWS::SageMaker::Workteam")
    assert team["WorkforceName"] == "spring"
    look_up, _ = of(imported, "Custom::AWS")
    assert json.loads(look_up["Create"])["parameters"] == {"WorkforceName": "spring"}
    documents = [
        role["Policies"][0]["PolicyDocument"]["Statement"]
        for role in of(imported, "AWS::IAM::Role")
        if "Looks up" in role.get("Description", "")
    ]
    ((describe, describe_pool, write_log),) = documents
    assert describe_pool == {
        "Action": "cognito-idp:DescribeUserPool",
        "Effect": "Allow",
        "Resource": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/*",
    }
    assert describe == {"Action": "sagemaker:DescribeWorkforce", "Effect": "Allow", "Resource": ARN}
    assert (write_log["Action"], write_log["Effect"]) == (["logs:CreateLogStream", "logs:PutLogEvents"], "Allow")
    assert "LookUpLogs" in write_log["Resource"]
