"""The portal: one address, strict headers, a table that keeps, an API that wants a token, roles word for word."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from menulens.portal import keys, table
from menulens.settings import settings_of
from tests.infrastructure.conftest import CERTIFICATE, LOCAL_ADDRESS, resources_of, synthesized, templates_in
from tests.infrastructure.test_labeling_permissions import (
    HERE,
    LIST_LABELS,
    LIST_LOG,
    PUT_EVENTS,
    READ_TABLE,
    STATES,
    WRITE_TABLE,
    labels,
    line,
    room,
    step,
    write,
)

Resources = Callable[[str], dict[str, dict[str, Any]]]
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
ALL_VIEWER_EXCEPT_HOST_HEADER = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
SIGN_IN = "https://menulens-local-123456789012.auth.us-east-1.amazoncognito.com"
ROLES = {
    "What the step publish_page of menulens-local may do": step(
        "publish-page",
        f"s3:ListBucket on {room('page')}",
        f"s3:DeleteObject, s3:PutObject on {room('page', '*')}",
    ),
    "What the step seal_log of menulens-local may do": step(
        "seal-log",
        f"s3:ListBucket on {room('answers')}",
        f"s3:GetObject on {room('answers', 'inputs/*', 'log/*')}",
        write(room("answers", "log/*")),
        READ_TABLE,
        WRITE_TABLE,
        PUT_EVENTS,
        "dynamodb:DescribeStream, dynamodb:GetRecords, dynamodb:GetShardIterator on STREAM",
        "dynamodb:ListStreams on *",
    ),
    "What the step portal_api of menulens-local may do": step(
        "portal-api", LIST_LABELS, f"s3:GetObject on {labels('display')}", READ_TABLE, WRITE_TABLE, PUT_EVENTS
    ),
    "What the step owner_api of menulens-local may do": step(
        "owner-api",
        LIST_LOG,
        f"s3:GetObject on {labels('inputs', 'jobs', 'snapshots', 'display')}",
        f"s3:GetObject on {room('answers', 'inputs/*', 'log/*')}",
        write(room("answers", "inputs/*", "log/*")),
        READ_TABLE,
        WRITE_TABLE,
        PUT_EVENTS,
        f"states:StartExecution on {STATES}stateMachine:menulens-local-label, "
        f"{STATES}stateMachine:menulens-local-snapshot, {STATES}stateMachine:menulens-local-add",
        "cognito-idp:ListUsersInGroup on POOL",
    ),
    "What the step finish_portal_job of menulens-local may do": step(
        "finish-portal-job",
        LIST_LOG,
        f"s3:GetObject on {labels('inputs', 'jobs')}",
        f"s3:GetObject on {room('answers', 'inputs/*', 'log/*')}",
        write(labels("jobs")),
        write(room("answers", "log/*")),
        READ_TABLE,
        WRITE_TABLE,
        PUT_EVENTS,
        f"states:SendTaskFailure, states:SendTaskSuccess on {STATES}stateMachine:menulens-local-label",
        f"sqs:SendMessage on arn:aws:sqs:{HERE}menulens-local-undelivered",
        "kms:Decrypt, kms:GenerateDataKey on KEY",
    ),
}


def only(resources: Resources, kind: str) -> dict[str, Any]:
    (found,) = resources(kind).values()
    return found


@pytest.fixture(scope="session")
def roles(resources: Resources) -> dict[str, set[str]]:
    found = {}
    for name, role in resources("AWS::IAM::Role").items():
        if name.startswith(("front/", "portal/")):
            (policy,) = role["Policies"]
            assert "ManagedPolicyArns" not in role
            found[role["Description"]] = {line(statement) for statement in policy["PolicyDocument"]["Statement"]}
    return found


def should_make_these_roles_and_no_other(roles: dict[str, set[str]]) -> None:
    assert set(roles) == set(ROLES)


@pytest.mark.parametrize("description", ROLES)
def should_allow_each_role_exactly_this(roles: dict[str, set[str]], description: str) -> None:
    assert {_without_drawn_names(text) for text in roles[description]} == ROLES[description]


def _without_drawn_names(text: str) -> str:
    """Return a statement with what AWS or CDK names by chance under a word of ours."""
    for service, word in (("kms:", "KEY"), ("dynamodb:DescribeStream", "STREAM"), ("cognito-idp:", "POOL")):
        if text.startswith(service):
            return f"{text.rpartition(' on ')[0]} on {word}"
    return text


def should_keep_the_table_that_the_portal_reads_and_writes(resources: Resources) -> None:
    found = only(resources, "AWS::DynamoDB::Table")
    assert found["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert found["SSESpecification"] == {"SSEEnabled": True}
    assert found["TimeToLiveSpecification"] == {"AttributeName": table.EXPIRES, "Enabled": True}
    wanted = table.definition("menulens-local-labeling")
    wanted["StreamSpecification"].pop("StreamEnabled")  # the template says it by naming a view
    for key, value in wanted.items():
        assert _sorted(found[key]) == _sorted(value), key


def _sorted(value: Any) -> Any:
    return sorted(value, key=json.dumps) if isinstance(value, list) else value


def should_describe_a_table_that_the_service_takes() -> None:
    model = botocore.session.get_session().get_service_model("dynamodb")
    shape = model.operation_model("CreateTable").input_shape
    assert ParamValidator().validate(table.definition("menulens-local-labeling"), shape).generate_report() == ""


@pytest.mark.parametrize(
    ("kind", "service", "operation"),
    [
        ("AWS::ApiGatewayV2::Authorizer", "apigatewayv2", "CreateAuthorizer"),
        ("AWS::ApiGatewayV2::Integration", "apigatewayv2", "CreateIntegration"),
        ("AWS::ApiGatewayV2::Route", "apigatewayv2", "CreateRoute"),
        ("AWS::Cognito::UserPoolClient", "cognito-idp", "CreateUserPoolClient"),
        ("AWS::Cognito::UserPoolDomain", "cognito-idp", "CreateUserPoolDomain"),
        ("AWS::Cognito::UserPoolGroup", "cognito-idp", "CreateGroup"),
        ("AWS::Lambda::EventInvokeConfig", "lambda", "PutFunctionEventInvokeConfig"),
        ("AWS::Lambda::EventSourceMapping", "lambda", "CreateEventSourceMapping"),
    ],
)
def should_ask_services_for_what_their_models_take(
    resources: Resources, kind: str, service: str, operation: str
) -> None:
    shape = botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape
    found = resources(kind)
    assert found
    for name, properties in found.items():
        asked = {key: value for key, value in properties.items() if key != "Tags"}
        assert set(asked) <= set(shape.members), name
        assert ParamValidator().validate(asked, shape).generate_report() == "", name


def should_keep_the_page_private_to_its_distribution(resources: Resources) -> None:
    found = only(resources, "AWS::CloudFront::Distribution")["DistributionConfig"]
    assert found["Comment"] == "menulens-local-portal"
    assert found["DefaultRootObject"] == "index.html"
    assert "CustomErrorResponses" not in found  # they would turn the API's answers into pages
    page, api = found["Origins"]
    assert page["S3OriginConfig"] == {"OriginAccessIdentity": ""}
    assert page["OriginAccessControlId"]
    control = only(resources, "AWS::CloudFront::OriginAccessControl")["OriginAccessControlConfig"]
    assert (control["SigningBehavior"], control["SigningProtocol"]) == ("always", "sigv4")
    assert api["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    assert api["CustomOriginConfig"]["OriginSSLProtocols"] == ["TLSv1.2"]
    allowed = [
        statement
        for name, policy in resources("AWS::S3::BucketPolicy").items()
        if name.startswith("front/")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert [(item["Principal"], item["Action"]) for item in allowed] == [
        ({"Service": "cloudfront.amazonaws.com"}, "s3:GetObject")
    ]
    assert "AWS:SourceArn" in allowed[0]["Condition"]["StringEquals"]


def should_serve_page_and_api_over_tls_each_by_its_own_rules(resources: Resources) -> None:
    found = only(resources, "AWS::CloudFront::Distribution")["DistributionConfig"]
    page, (api,) = found["DefaultCacheBehavior"], found["CacheBehaviors"]
    assert (page["ViewerProtocolPolicy"], page["AllowedMethods"]) == ("redirect-to-https", ["GET", "HEAD"])
    assert (page["CachePolicyId"], page["Compress"]) == (CACHING_OPTIMIZED, True)
    assert (api["PathPattern"], api["ViewerProtocolPolicy"]) == ("/api/*", "https-only")
    assert api["CachePolicyId"] == CACHING_DISABLED
    assert api["OriginRequestPolicyId"] == ALL_VIEWER_EXCEPT_HOST_HEADER
    assert page["ResponseHeadersPolicyId"] == api["ResponseHeadersPolicyId"]


def should_let_the_page_load_nothing_but_itself(resources: Resources) -> None:
    found = only(resources, "AWS::CloudFront::ResponseHeadersPolicy")["ResponseHeadersPolicyConfig"]
    security = found["SecurityHeadersConfig"]
    said = dict(
        part.split(" ", 1) if " " in part else (part, "")
        for part in security["ContentSecurityPolicy"]["ContentSecurityPolicy"].split("; ")
    )
    assert said == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob:",
        "connect-src": f"'self' {SIGN_IN}",
        "manifest-src": "'self'",
        "worker-src": "'self'",
        "base-uri": "'none'",
        "form-action": f"'self' {SIGN_IN}",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "menulens",
    }
    assert security["ContentTypeOptions"] == {"Override": True}
    assert security["FrameOptions"] == {"FrameOption": "DENY", "Override": True}
    assert security["ReferrerPolicy"] == {"ReferrerPolicy": "no-referrer", "Override": True}
    assert security["StrictTransportSecurity"] == {
        "AccessControlMaxAgeSec": 63_072_000,
        "IncludeSubdomains": True,
        "Override": True,
    }
    others = {item["Header"]: item["Value"] for item in found["CustomHeadersConfig"]["Items"]}
    assert others["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in others["Permissions-Policy"]


def should_throttle_the_api_and_log_who_calls_what(resources: Resources) -> None:
    stage = only(resources, "AWS::ApiGatewayV2::Stage")
    assert stage["DefaultRouteSettings"] == {
        "DetailedMetricsEnabled": True,
        "ThrottlingBurstLimit": 200,
        "ThrottlingRateLimit": 100,
    }
    said = json.loads(stage["AccessLogSettings"]["Format"])
    assert said["person"] == "$context.authorizer.claims.sub"
    assert {"ip", "route", "status", "requestId"} <= set(said)


def should_answer_nobody_without_a_token_but_that_it_is_up(resources: Resources) -> None:
    routes = {route["RouteKey"]: route for route in resources("AWS::ApiGatewayV2::Route").values()}
    assert set(routes) == {"GET /api/health", "ANY /api/{proxy+}", "ANY /api/owner/{proxy+}"}
    assert routes.pop("GET /api/health")["AuthorizationType"] == "NONE"
    for route in routes.values():
        assert route["AuthorizationType"] == "JWT"
        assert route["AuthorizationScopes"] == ["openid", "aws.cognito.signin.user.admin"]
    authorizer = only(resources, "AWS::ApiGatewayV2::Authorizer")
    assert authorizer["IdentitySource"] == ["$request.header.Authorization"]
    assert len(authorizer["JwtConfiguration"]["Audience"]) == 1
    assert authorizer["JwtConfiguration"]["Issuer"].startswith("https://cognito-idp.us-east-1.amazonaws.com/")
    assert "CorsConfiguration" not in only(resources, "AWS::ApiGatewayV2::Api")


def should_let_only_the_api_call_its_functions(resources: Resources) -> None:
    integrations = {name: item["IntegrationUri"] for name, item in resources("AWS::ApiGatewayV2::Integration").items()}
    assert {item["PayloadFormatVersion"] for item in resources("AWS::ApiGatewayV2::Integration").values()} == {"2.0"}
    assert sum("OwnerApi" in uri for uri in integrations.values()) == 1
    assert sum("PortalApi" in uri for uri in integrations.values()) == 2
    for name, permission in resources("AWS::Lambda::Permission").items():
        assert permission["Principal"] in ("apigateway.amazonaws.com", "events.amazonaws.com"), name
        assert permission["SourceArn"], name


def should_seal_new_answers_as_they_come_and_look_after_all_by_the_clock(resources: Resources) -> None:
    stream = only(resources, "AWS::Lambda::EventSourceMapping")
    (wanted,) = stream["FilterCriteria"]["Filters"]
    assert json.loads(wanted["Pattern"]) == {
        "eventName": ["INSERT"],
        "dynamodb": {"Keys": {"pk": {"S": [{"prefix": keys.outbox("spring")[0].removesuffix("spring")}]}}},
    }
    assert stream["StartingPosition"] == "TRIM_HORIZON"
    (clock,) = (rule for rule in resources("AWS::Events::Rule").values() if "ScheduleExpression" in rule)
    assert (clock["ScheduleExpression"], clock["Targets"][0]["Input"]) == ("rate(5 minutes)", "{}")


def should_tell_the_page_where_people_sign_in(resources: Resources) -> None:
    (page,) = resources("Custom::Page").values()
    told = page["Configuration"]
    assert (told["region"], told["api"], told["sign_in"]) == ("us-east-1", "/api", SIGN_IN)
    assert told["issuer"].startswith("https://cognito-idp.us-east-1.amazonaws.com/")
    assert len(told["version"]) == 12


def should_take_the_local_clouds_address_only_on_the_local_cloud(tmp_path: Path, production: Path) -> None:
    address = LOCAL_ADDRESS
    local = templates_in(synthesized(settings_of("local"), tmp_path, portal_address=address))
    (client,) = resources_of(local, "AWS::Cognito::UserPoolClient").values()
    assert client["CallbackURLs"] == [f"{address}/"]
    (page,) = resources_of(local, "Custom::Page").values()
    assert page["Configuration"]["sign_in"] == address
    policy = json.dumps(resources_of(local, "AWS::CloudFront::ResponseHeadersPolicy"))
    assert f"connect-src 'self' {address};" in policy
    assert address not in json.dumps(templates_in(production))


def should_serve_a_domain_of_ones_own_with_its_certificate(production: Path) -> None:
    found = templates_in(production)
    (distribution,) = resources_of(found, "AWS::CloudFront::Distribution").values()
    config = distribution["DistributionConfig"]
    assert config["Aliases"] == ["labels.example.com"]
    assert config["ViewerCertificate"] == {
        "AcmCertificateArn": CERTIFICATE,
        "MinimumProtocolVersion": "TLSv1.2_2021",
        "SslSupportMethod": "sni-only",
    }
    (client,) = resources_of(found, "AWS::Cognito::UserPoolClient").values()
    assert client["CallbackURLs"] == ["https://labels.example.com/"]


def should_give_functions_of_an_account_the_wheels_of_its_machines(production: Path) -> None:
    functions = resources_of(templates_in(production), "AWS::Lambda::Function")
    assert {function["Architectures"][0] for function in functions.values() if "Architectures" in function} == {"arm64"}
    (api,) = (one for one in functions.values() if one["FunctionName"].endswith("-portal-api"))
    asset = production / f"asset.{api['Code']['S3Key'].removesuffix('.zip')}"
    # 0xB7 in an ELF header: AArch64.
    libraries = list(asset.rglob("*.so"))
    assert [file.name for file in libraries if "_pydantic_core" in file.name]
    assert {file.read_bytes()[18:20] for file in libraries} == {b"\xb7\x00"}
    assert not (asset / "numpy").exists()  # it would make each cold start slower
