"""A small portal made with single AWS calls: a page in a bucket, an API on a Lambda, a pool, and their distribution."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import struct
import time
import uuid
import zipfile
from dataclasses import dataclass
from typing import Any

import httpx

from menulens.client.sign_in import HostedSignIn
from menulens.local.front_door import COMMENT

PASSWORD = "Cold-noodles-24"
CSP = "default-src 'none'; script-src 'self'"
PHOTO = bytes(range(256)) * 64
LONG = b"export const words = ['sushi', 'ramen'];\n" * 200
GROUPS = ("annotators", "owners")
_HANDLER = """
import base64, json
PHOTO = bytes(range(256)) * 64

def handler(event, context):
    if event["rawPath"].startswith("/api/photos/"):
        return {"statusCode": 200, "headers": {"content-type": "image/jpeg"}, "isBase64Encoded": True,
                "body": base64.b64encode(PHOTO).decode()}
    told = {"path": event["rawPath"], "query": event["rawQueryString"], "body": event.get("body"),
            "claims": event["requestContext"].get("authorizer", {}).get("jwt", {}).get("claims", {}),
            "headers": event["headers"]}
    return {"statusCode": 202, "headers": {"content-type": "application/json", "x-told": "yes"},
            "body": json.dumps(told)}
"""


@dataclass
class SmallPortal:
    """What was made."""

    url: str
    pool: str
    client_id: str
    cognito: Any
    ses_url: str

    def invite(self, *groups: str, password: str = "Temporary-pass-1") -> str:
        name = f"{uuid.uuid4().hex[:10]}@example.com"
        user = self.cognito.admin_create_user(
            UserPoolId=self.pool,
            Username=name,
            TemporaryPassword=password,
            UserAttributes=[{"Name": "email", "Value": name}, {"Name": "email_verified", "Value": "true"}],
        )
        for group in groups:
            self.cognito.admin_add_user_to_group(
                UserPoolId=self.pool, Username=user["User"]["Username"], GroupName=group
            )
        return name

    def member(self, *groups: str) -> str:
        name = self.invite(*groups)
        self.cognito.admin_set_user_password(UserPoolId=self.pool, Username=name, Password=PASSWORD, Permanent=True)
        return name

    def browser(self) -> HostedSignIn:
        return HostedSignIn(httpx.Client(timeout=30.0, trust_env=False), self.url)

    def mails(self, to: str) -> list[dict[str, Any]]:
        sent = httpx.get(f"{self.ses_url}/_ministack/ses/messages", trust_env=False).json()["messages"]
        return [mail for mails in sent.values() for mail in mails if to in json.dumps(mail["To"])]


def totp(secret: str) -> str:
    """Return the code that an authenticator app shows now (RFC 6238)."""
    key = base64.b32decode(secret)
    digest = hmac.digest(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1)
    at = digest[-1] & 15
    return f"{(int.from_bytes(digest[at : at + 4]) & 0x7FFFFFFF) % 1_000_000:06d}"


def make(client: Any, gateway: str, url: str) -> SmallPortal:
    """Make a portal; ``client`` gives boto3 clients by service."""
    cognito = client("cognito-idp")
    pool, client_id = _pool(cognito, url)
    api = _api(client, pool, client_id)
    bucket = _page(client("s3"), client_id)
    _distribution(client("cloudfront"), client("s3"), api, bucket)
    return SmallPortal(url, pool, client_id, cognito, gateway)


def _pool(cognito: Any, url: str) -> tuple[str, str]:
    policy = {"MinimumLength": 12, "RequireUppercase": True, "RequireLowercase": True, "RequireNumbers": True,
              "RequireSymbols": True}  # fmt: skip
    pool = cognito.create_user_pool(
        PoolName="people",
        Policies={"PasswordPolicy": policy},
        UsernameAttributes=["email"],
        MfaConfiguration="OFF",
    )["UserPool"]["Id"]
    cognito.set_user_pool_mfa_config(
        UserPoolId=pool, SoftwareTokenMfaConfiguration={"Enabled": True}, MfaConfiguration="OPTIONAL"
    )
    made = cognito.create_user_pool_client(
        UserPoolId=pool,
        ClientName="page",
        AllowedOAuthFlows=["code"],
        AllowedOAuthFlowsUserPoolClient=True,
        AllowedOAuthScopes=["openid", "email"],
        CallbackURLs=[f"{url}/"],
        LogoutURLs=[f"{url}/"],
        SupportedIdentityProviders=["COGNITO"],
        ExplicitAuthFlows=["ALLOW_REFRESH_TOKEN_AUTH"],
        PreventUserExistenceErrors="ENABLED",
    )
    for group in GROUPS:
        cognito.create_group(UserPoolId=pool, GroupName=group)
    return pool, made["UserPoolClient"]["ClientId"]


def _api(client: Any, pool: str, client_id: str) -> str:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("handler.py", _HANDLER)
    arn = client("lambda").create_function(
        FunctionName=f"api-{uuid.uuid4().hex[:8]}",
        Runtime="python3.13",
        Role="arn:aws:iam::000000000000:role/api",
        Handler="handler.handler",
        Code={"ZipFile": archive.getvalue()},
    )["FunctionArn"]
    gateway = client("apigatewayv2")
    api: str = gateway.create_api(Name="api", ProtocolType="HTTP")["ApiId"]
    integration = gateway.create_integration(
        ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    authorizer = gateway.create_authorizer(
        ApiId=api,
        AuthorizerType="JWT",
        Name="people",
        IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Audience": [client_id], "Issuer": f"https://cognito-idp.us-east-1.amazonaws.com/{pool}"},
    )["AuthorizerId"]
    target = f"integrations/{integration}"
    gateway.create_route(ApiId=api, RouteKey="GET /api/health", Target=target)
    gateway.create_route(
        ApiId=api, RouteKey="ANY /api/{proxy+}", Target=target, AuthorizationType="JWT", AuthorizerId=authorizer
    )
    gateway.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    return api


def _page(s3: Any, client_id: str) -> str:
    bucket = f"page-{uuid.uuid4().hex[:10]}"
    s3.create_bucket(Bucket=bucket)
    config = {"client_id": client_id, "sign_in": "/", "api": "/api"}
    for key, kind, body in (
        ("index.html", "text/html; charset=utf-8", b"<!doctype html><title>portal</title>"),
        ("app/main.js", "text/javascript", b"export {};"),
        ("app/long.js", "text/javascript", LONG),
        ("config.json", "application/json", json.dumps(config).encode()),
    ):
        s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=kind)
    return bucket


def _distribution(cloudfront: Any, s3: Any, api: str, bucket: str) -> None:
    headers = cloudfront.create_response_headers_policy(
        ResponseHeadersPolicyConfig={
            "Name": f"headers-{bucket}",
            "SecurityHeadersConfig": {
                "ContentSecurityPolicy": {"Override": True, "ContentSecurityPolicy": CSP},
                "ContentTypeOptions": {"Override": True},
                "FrameOptions": {"Override": True, "FrameOption": "DENY"},
            },
        }
    )["ResponseHeadersPolicy"]["Id"]
    access = cloudfront.create_origin_access_control(
        OriginAccessControlConfig={
            "Name": bucket,
            "SigningProtocol": "sigv4",
            "SigningBehavior": "always",
            "OriginAccessControlOriginType": "s3",
        }
    )["OriginAccessControl"]["Id"]
    methods = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    allowed = {
        "Quantity": 7, "Items": methods, "CachedMethods": {"Quantity": 2, "Items": ["GET", "HEAD"]},
    }  # fmt: skip
    common = {"ViewerProtocolPolicy": "redirect-to-https", "ResponseHeadersPolicyId": headers, "Compress": True}
    no_cache = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # AWS's CachingDisabled
    all_but_host = "b689b0a8-53d0-40ab-baf2-68738e2966ac"  # AWS's AllViewerExceptHostHeader
    made = cloudfront.create_distribution(
        DistributionConfig={
            "CallerReference": bucket,
            "Comment": COMMENT,
            "Enabled": True,
            "DefaultRootObject": "index.html",
            "Origins": {
                "Quantity": 2,
                "Items": [
                    {
                        "Id": "page",
                        "DomainName": f"{bucket}.s3.us-east-1.amazonaws.com",
                        "OriginAccessControlId": access,
                        "S3OriginConfig": {"OriginAccessIdentity": ""},
                    },
                    {
                        "Id": "api",
                        "DomainName": f"{api}.execute-api.us-east-1.amazonaws.com",
                        "CustomOriginConfig": {
                            "HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only",
                        },
                    },
                ],
            },
            "DefaultCacheBehavior": {"TargetOriginId": "page", "CachePolicyId": no_cache, **common},
            "CacheBehaviors": {
                "Quantity": 1,
                "Items": [
                    {
                        "PathPattern": "/api/*",
                        "TargetOriginId": "api",
                        "CachePolicyId": no_cache,
                        "OriginRequestPolicyId": all_but_host,
                        "AllowedMethods": allowed,
                        **common,
                    }
                ],
            },
        }
    )["Distribution"]  # fmt: skip
    tls_only = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"StringEquals": {"AWS:SourceArn": made["ARN"]}},
    }
    s3.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [tls_only, statement]})
    )
