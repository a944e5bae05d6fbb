"""The portal's front: one address for the page (CloudFront over a private bucket) and for its API (``/api/*``).

It stands on nothing, so that everything that must name the address can stand on it: the invitation, the sign-in's
call-back, the page's own configuration.
"""

from __future__ import annotations

import json
from typing import Final, cast

from aws_cdk import Aws, CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from menulens.core import names
from menulens.settings import Settings
from stacks.steps.base import LOCAL, acknowledge, bucket_name, in_region, removal_policy, sign_in_address
from stacks.storage_stack import housekeeping

ADDRESS_CONTEXT: Final = "portal_address"
"""Context by which the local cloud tells its own address; in an account CloudFront gives one."""

PERMISSIONS: Final = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
ACCESS_LOG: Final = {
    "requestId": "$context.requestId",
    "ip": "$context.identity.sourceIp",
    "person": "$context.authorizer.claims.sub",
    "route": "$context.routeKey",
    "status": "$context.status",
    "milliseconds": "$context.responseLatency",
    "error": "$context.error.message",
    "authorizerError": "$context.authorizer.error",
}


class FrontStack(Stack):
    """The page's bucket, the API without its routes, and the distribution before both.

    Attributes
    ----------
    address
        Where people find the page: ``https://…``, no slash at the end.
    sign_in
        Where they sign in, as the page is told.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, access_logs: s3.IBucket) -> None:
        super().__init__(
            scope, construct_id, description="menulens: the labeling portal's address", env=in_region(settings)
        )
        self._settings = settings
        told: str | None = self.node.try_get_context(ADDRESS_CONTEXT) if settings.environment == LOCAL else None
        self.sign_in: str = told or sign_in_address(settings)
        self.page = self._page(access_logs)
        self.api = self._api()
        self.distribution = self._distribution()
        # Stacks that were deployed without a domain import it; what is imported can't be taken away, so it stays.
        self.export_value(self.distribution.distribution_domain_name)
        self.address: str = told or f"https://{settings.portal.domain or self.distribution.distribution_domain_name}"
        CfnOutput(self, "PortalAddress", value=self.address)
        CfnOutput(self, "PortalDistribution", value=self.distribution.distribution_domain_name)

    def _page(self, access_logs: s3.IBucket) -> s3.Bucket:
        return s3.Bucket(
            self,
            "Page",
            bucket_name=bucket_name(self._settings, "page"),
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            server_access_logs_bucket=access_logs,
            server_access_logs_prefix="page/",
            lifecycle_rules=housekeeping(),
            removal_policy=removal_policy(self._settings),
        )

    def _api(self) -> apigateway.HttpApi:
        prefix = names.prefix(self._settings.environment)
        api = apigateway.HttpApi(
            self,
            "Api",
            api_name=f"{prefix}-portal",
            description="Labeling: what the page asks and answers",
            create_default_stage=False,
        )
        log_group = logs.LogGroup(
            self,
            "ApiLogs",
            log_group_name=f"/aws/vendedlogs/api/{prefix}-portal",
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=RemovalPolicy.DESTROY,
        )
        stage = apigateway.HttpStage(
            self,
            "ApiStage",
            http_api=api,
            stage_name="$default",
            auto_deploy=True,
            detailed_metrics_enabled=True,
            throttle=apigateway.ThrottleSettings(
                rate_limit=self._settings.portal.requests_per_second, burst_limit=self._settings.portal.burst
            ),
        )
        cast(
            "apigateway.CfnStage", stage.node.default_child
        ).access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
            destination_arn=log_group.log_group_arn, format=json.dumps(ACCESS_LOG)
        )
        return api

    def _distribution(self) -> cloudfront.Distribution:
        portal = self._settings.portal
        headers = self._headers()
        own = {}
        if portal.domain and portal.certificate_arn:
            own = {
                "domain_names": [portal.domain],
                "certificate": acm.Certificate.from_certificate_arn(self, "Certificate", portal.certificate_arn),
                "minimum_protocol_version": cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
            }
        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"{names.prefix(self._settings.environment)}-portal",
            default_root_object="index.html",
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            price_class=cloudfront.PriceClass.PRICE_CLASS_200,
            default_behavior=cloudfront.BehaviorOptions(
                origin=origins.S3BucketOrigin.with_origin_access_control(self.page),
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
                allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD,
                # Page files say no-cache: each is asked for again, and answered with 304 while it is the same.
                cache_policy=cloudfront.CachePolicy.CACHING_OPTIMIZED,
                response_headers_policy=headers,
                compress=True,
            ),
            additional_behaviors={
                "/api/*": cloudfront.BehaviorOptions(
                    origin=origins.HttpOrigin(
                        f"{self.api.api_id}.execute-api.{Aws.REGION}.{Aws.URL_SUFFIX}",
                        protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
                        origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
                    ),
                    viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
                    allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
                    cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
                    # With the caller's token, without the caller's Host: execute-api knows itself by its own name.
                    origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
                    response_headers_policy=headers,
                )
            },
            **own,
        )
        acknowledge(distribution, "Annotators may be anywhere; what they see needs a sign-in.", "AwsSolutions-CFR1")
        acknowledge(
            distribution,
            "The page is public and static; the API authenticates, throttles and limits each person by itself.",
            "AwsSolutions-CFR2",
        )
        acknowledge(
            distribution,
            "Calls stand in the API's log, page files in the bucket's; CloudFront's log would need a bucket with ACLs.",
            "AwsSolutions-CFR3",
        )
        if not own:
            acknowledge(
                distribution,
                "CloudFront's own certificate goes with its own TLS policy; portal.domain brings TLS 1.2 of 2021.",
                "AwsSolutions-CFR4",
            )
        return distribution

    def _headers(self) -> cloudfront.ResponseHeadersPolicy:
        return cloudfront.ResponseHeadersPolicy(
            self,
            "Headers",
            response_headers_policy_name=f"{names.prefix(self._settings.environment)}-portal",
            comment="Nothing but the page's own files; nobody may frame it",
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                    # The API's answers bring a stricter one.
                    content_security_policy=self.content_security_policy(),
                    override=False,
                ),
                content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
                frame_options=cloudfront.ResponseHeadersFrameOptions(
                    frame_option=cloudfront.HeadersFrameOption.DENY, override=True
                ),
                referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                    referrer_policy=cloudfront.HeadersReferrerPolicy.NO_REFERRER, override=True
                ),
                strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                    access_control_max_age=Duration.days(730), include_subdomains=True, override=True
                ),
            ),
            custom_headers_behavior=cloudfront.ResponseCustomHeadersBehavior(
                custom_headers=[
                    cloudfront.ResponseCustomHeader(header=name, value=value, override=True)
                    for name, value in (
                        ("Cross-Origin-Opener-Policy", "same-origin"),
                        ("Cross-Origin-Resource-Policy", "same-origin"),
                        ("Permissions-Policy", PERMISSIONS),
                    )
                ]
            ),
        )

    def content_security_policy(self) -> str:
        """Return what the page may load, and where it may send: itself and the sign-in."""
        sign_in = self.sign_in
        if self._settings.labeling.workforce_arn and sign_in == sign_in_address(self._settings):
            # The imported pool's own prefix is looked up at deployment, after this stack.
            sign_in = f"https://*.auth.{self._settings.region}.amazoncognito.com"
        return "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self' blob:",
                f"connect-src 'self' {sign_in}",
                "manifest-src 'self'",
                "worker-src 'self'",
                "base-uri 'none'",
                f"form-action 'self' {sign_in}",
                "frame-ancestors 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types menulens",
            )
        )
