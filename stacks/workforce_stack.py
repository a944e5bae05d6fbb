"""Workforce: who labels. A Cognito user pool, the account's private workforce and our team in it.

An account has one private workforce per region. Where one exists already, ``labeling.workforce_arn`` names it: its user
pool is looked up when the stack is deployed, and our group, our members and our team are added to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Aws, CfnOutput, CfnResource, Duration, RemovalPolicy, Stack, custom_resources
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sns as sns
from constructs import Construct

from menulens.core import names
from menulens.settings import Settings
from stacks.steps.base import acknowledge, removal_policy, stable_id

GROUP = "annotators"
# The labeling portal puts its own address in here when the workforce is made; Cognito wants one before that.
CALLBACK_BEFORE_THE_PORTAL = "https://localhost"


@dataclass(frozen=True)
class _Pool:
    """The user pool that the team's members are in, and what must stand before the team does."""

    pool_id: str
    client_id: str
    workforce_name: str
    before_team: tuple[CfnResource, ...]


class WorkforceStack(Stack):
    """The people who label, and the topic that tells them of new work."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, key: kms.IKey) -> None:
        super().__init__(scope, construct_id, description="menulens: the labeling team")
        self._settings = settings
        self.new_work = self._topic(key)
        pool = self._imported_pool() if settings.labeling.workforce_arn else self._own_pool()
        group = self._members(pool)
        self.team = self._team(pool, group)
        self.team_arn = self.team.attr_workteam_arn

    def _topic(self, key: kms.IKey) -> sns.Topic:
        topic = sns.Topic(
            self,
            "NewWork",
            topic_name=f"{names.prefix(self._settings.environment)}-new-work",
            display_name="menulens: photos to label",
            master_key=key,
            enforce_ssl=True,
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="GroundTruthTellsOfNewWork",
                principals=[iam.ServicePrincipal("sagemaker.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        for email in self._settings.labeling.members:
            sns.CfnSubscription(
                self,
                f"Tell{stable_id(email)}",
                topic_arn=topic.topic_arn,
                protocol="email",
                endpoint=email,
            )
        return topic

    def _own_pool(self) -> _Pool:
        prefix = names.prefix(self._settings.environment)
        mfa = self._settings.labeling.require_totp
        pool = cognito.UserPool(
            self,
            "Pool",
            user_pool_name=f"{prefix}-annotators",
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(email=True),
            sign_in_case_sensitive=False,
            auto_verify=cognito.AutoVerifiedAttrs(email=True),
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            password_policy=cognito.PasswordPolicy(
                min_length=12,
                require_lowercase=True,
                require_uppercase=True,
                require_digits=True,
                require_symbols=True,
                temp_password_validity=Duration.days(7),
            ),
            mfa={"off": cognito.Mfa.OFF, "optional": cognito.Mfa.OPTIONAL, "required": cognito.Mfa.REQUIRED}[mfa],
            mfa_second_factor=None if mfa == "off" else cognito.MfaSecondFactor(otp=True, sms=False),
            user_invitation=cognito.UserInvitationConfig(
                email_subject="menulens: please help to label menu photos",
                email_body=(
                    "You are invited to label menu photos. Sign in as {username} with the temporary password {####} "
                    "(valid for 7 days); you then choose a password of your own."
                ),
            ),
            removal_policy=removal_policy(self._settings),
        )
        if mfa != "required":
            acknowledge(
                pool,
                "Annotators see photos of dishes only; labeling.require_totp = 'required' makes a second factor due.",
                "AwsSolutions-COG2",
            )
        acknowledge(
            pool,
            "Threat protection needs the Plus plan, priced per user; nobody can sign up, members are invited.",
            "AwsSolutions-COG3",
            "AwsSolutions-COG8",
        )
        # Ground Truth's portal takes the code grant and keeps a secret.
        client = pool.add_client(
            "PortalClient",
            user_pool_client_name=f"{prefix}-portal",
            generate_secret=True,
            auth_flows=cognito.AuthFlow(user_password=True, user_srp=True),
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(authorization_code_grant=True),
                scopes=[cognito.OAuthScope.OPENID, cognito.OAuthScope.EMAIL, cognito.OAuthScope.PROFILE],
                callback_urls=[CALLBACK_BEFORE_THE_PORTAL],
                logout_urls=[CALLBACK_BEFORE_THE_PORTAL],
            ),
            supported_identity_providers=[cognito.UserPoolClientIdentityProvider.COGNITO],
            prevent_user_existence_errors=True,
            enable_token_revocation=True,
            access_token_validity=Duration.hours(8),
            id_token_validity=Duration.hours(8),
            refresh_token_validity=Duration.days(30),
        )
        domain = pool.add_domain(
            "Domain",
            cognito_domain=cognito.CognitoDomainOptions(domain_prefix=f"{prefix}-{Aws.ACCOUNT_ID}"),
        )
        workforce = sagemaker.CfnWorkforce(
            self,
            "Workforce",
            workforce_name=f"{prefix}-workforce",
            cognito_config=sagemaker.CfnWorkforce.CognitoConfigProperty(
                user_pool=pool.user_pool_id, client_id=client.user_pool_client_id
            ),
        )
        # The portal signs people in at the pool's domain, so it must stand first, and go last.
        workforce.node.add_dependency(domain)
        CfnOutput(self, "UserPoolId", value=pool.user_pool_id)
        CfnOutput(self, "UserPoolClientId", value=client.user_pool_client_id)
        CfnOutput(self, "PortalDomain", value=workforce.attr_sub_domain)
        return _Pool(pool.user_pool_id, client.user_pool_client_id, f"{prefix}-workforce", (workforce,))

    def _imported_pool(self) -> _Pool:
        arn = str(self._settings.labeling.workforce_arn)
        name = arn.rpartition("/")[2]
        log_group = logs.LogGroup(
            self, "LookUpLogs", retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY
        )
        role = iam.Role(
            self,
            "LookUpRole",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"Looks up the user pool of the workforce {name}",
            inline_policies={
                "look-up": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(actions=["sagemaker:DescribeWorkforce"], resources=[arn]),
                        iam.PolicyStatement(
                            actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group.log_group_arn]
                        ),
                    ]
                )
            },
        )
        call = custom_resources.AwsSdkCall(
            service="SageMaker",
            action="describeWorkforce",
            parameters={"WorkforceName": name},
            physical_resource_id=custom_resources.PhysicalResourceId.of(arn),
            output_paths=["Workforce.CognitoConfig.UserPool", "Workforce.CognitoConfig.ClientId"],
        )
        found = custom_resources.AwsCustomResource(
            self,
            "LookUp",
            on_create=call,
            on_update=call,
            role=role.without_policy_updates(),
            install_latest_aws_sdk=False,
            log_group=log_group,
        )
        return _Pool(
            found.get_response_field("Workforce.CognitoConfig.UserPool"),
            found.get_response_field("Workforce.CognitoConfig.ClientId"),
            name,
            (),
        )

    def _members(self, pool: _Pool) -> cognito.CfnUserPoolGroup:
        group = cognito.CfnUserPoolGroup(
            self,
            "Group",
            user_pool_id=pool.pool_id,
            group_name=f"{names.prefix(self._settings.environment)}-{GROUP}",
            description="People who label menu photos",
        )
        for email in self._settings.labeling.members:
            user = cognito.CfnUserPoolUser(
                self,
                f"Member{stable_id(email)}",
                user_pool_id=pool.pool_id,
                username=email,
                desired_delivery_mediums=["EMAIL"],
                user_attributes=[
                    cognito.CfnUserPoolUser.AttributeTypeProperty(name="email", value=email),
                    cognito.CfnUserPoolUser.AttributeTypeProperty(name="email_verified", value="true"),
                ],
            )
            cognito.CfnUserPoolUserToGroupAttachment(
                self,
                f"InGroup{stable_id(email)}",
                user_pool_id=pool.pool_id,
                group_name=group.ref,
                username=user.ref,
            )
        return group

    def _team(self, pool: _Pool, group: cognito.CfnUserPoolGroup) -> sagemaker.CfnWorkteam:
        team = sagemaker.CfnWorkteam(
            self,
            "Team",
            workteam_name=names.workteam(self._settings.environment),
            workforce_name=pool.workforce_name,
            description="People who label menu photos",
            member_definitions=[
                sagemaker.CfnWorkteam.MemberDefinitionProperty(
                    cognito_member_definition=sagemaker.CfnWorkteam.CognitoMemberDefinitionProperty(
                        cognito_user_pool=pool.pool_id,
                        cognito_client_id=pool.client_id,
                        cognito_user_group=group.ref,
                    )
                )
            ],
            notification_configuration=sagemaker.CfnWorkteam.NotificationConfigurationProperty(
                notification_topic_arn=self.new_work.topic_arn
            ),
        )
        # Deleted in the opposite order: the team, the workforce, then the group, the domain and the pool.
        for resource in pool.before_team:
            team.add_resource_dependency(resource)
        return team
