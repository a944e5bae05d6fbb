"""Workforce: who labels. A Cognito user pool, our groups of annotators and owners in it, and how they sign in.

Ground Truth, where it is the provider, wants the account's private workforce and a team in it as well. An account has
one private workforce per region. Where one exists already, ``labeling.workforce_arn`` names it: its user pool is looked
up when the stack is deployed, and our groups, our members and our team are added to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aws_cdk import Aws, CfnOutput, CfnResource, CustomResource, Duration, RemovalPolicy, Stack, custom_resources
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sns as sns
from constructs import Construct, IConstruct

from menulens.core import names
from menulens.settings import Settings
from stacks.invitation import INVITATION, SUBJECT
from stacks.steps.base import (
    acknowledge,
    finding,
    hyphened,
    in_region,
    removal_policy,
    sagemaker_arn,
    sign_in_address,
    sign_in_prefix,
    stable_id,
)
from stacks.steps.inviting import InvitePeople

SCOPES = [cognito.OAuthScope.OPENID, cognito.OAuthScope.EMAIL]
# The page asks for it on one occasion alone: when a person sets up a second factor of their own.
ACCOUNT_SCOPE = cognito.OAuthScope.COGNITO_ADMIN
# Ground Truth's portal puts its own address in here when the workforce is made; Cognito wants one before that.
CALLBACK_BEFORE_THE_PORTAL = "https://localhost"


@dataclass(frozen=True)
class SignIn:
    """How people sign in to the portal.

    Attributes
    ----------
    issuer
        What tokens name as theirs.
    client_id
        The page's app client; it has no secret.
    address
        Where they sign in.
    pool_id
        The user pool that knows them.
    """

    issuer: str
    client_id: str
    address: str
    pool_id: str


@dataclass(frozen=True)
class _Pool:
    """The user pool that everyone is in; Ground Truth's part of it, and what must stand before its team does."""

    pool: cognito.IUserPool
    sign_in: str
    client_id: str = ""
    workforce_name: str = ""
    before_team: tuple[CfnResource, ...] = ()


class _User(NamedTuple):
    """Someone in the pool: the name that it knows them by, and what must have been made before it does."""

    name: str
    before: tuple[IConstruct, ...] = ()


class WorkforceStack(Stack):
    """The people who label, and the topic that tells them of new work.

    Attributes
    ----------
    new_work, to_owners
        Topics that tell annotators and owners.
    sign_in
        How they sign in to the portal.
    team_arn
        Ground Truth's team; None where the portal is the provider.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, key: kms.IKey, address: str, sign_in: str
    ) -> None:
        """Make pool, groups, members and clients.

        Parameters
        ----------
        address
            Where people find the portal's page; no slash at the end.
        sign_in
            Where they sign in, unless the pool is an imported one, which has an address of its own.
        """
        super().__init__(scope, construct_id, description="menulens: the labeling team", env=in_region(settings))
        self._settings = settings
        self._ground_truth = settings.labeling.provider == "ground_truth"
        self._address = address
        ground_truth = {"GroundTruthTellsOfNewWork": "sagemaker.amazonaws.com"} if self._ground_truth else {}
        self.new_work = self._topic(
            "NewWork",
            key,
            display_name="menulens: photos to label",
            emails=settings.labeling.members,
            senders=ground_truth,
        )
        self.to_owners = self._topic(
            "ToOwners", key, display_name="menulens: labeling", emails=settings.labeling.owners, senders={}
        )
        pool = self._imported_pool() if settings.labeling.workforce_arn else self._own_pool(sign_in)
        group = self._people(pool.pool)
        self.sign_in = self._page_client(pool)
        self.team_arn = self._team(pool, group) if self._ground_truth else None

    def _topic(
        self, construct_id: str, key: kms.IKey, *, display_name: str, emails: Sequence[str], senders: Mapping[str, str]
    ) -> sns.Topic:
        """Make a topic that tells people by e-mail.

        Parameters
        ----------
        senders
            Services that may send to it: statement's name to service.
        """
        topic = sns.Topic(
            self,
            construct_id,
            topic_name=f"{names.prefix(self._settings.environment)}-{hyphened(construct_id)}",
            display_name=display_name,
            master_key=key,
            enforce_ssl=True,
        )
        for sid, service in senders.items():
            topic.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=sid,
                    principals=[iam.ServicePrincipal(service)],
                    actions=["sns:Publish"],
                    resources=[topic.topic_arn],
                    conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
                )
            )
        for email in emails:
            sns.CfnSubscription(
                self,
                f"Tell{'' if construct_id == 'NewWork' else construct_id}{stable_id(email)}",
                topic_arn=topic.topic_arn,
                protocol="email",
                endpoint=email,
            )
        return topic

    def _own_pool(self, sign_in: str) -> _Pool:
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
                email_subject=SUBJECT,
                email_body=INVITATION.format(address=f"{self._address}/"),
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
        domain = pool.add_domain(
            "Domain", cognito_domain=cognito.CognitoDomainOptions(domain_prefix=sign_in_prefix(self._settings))
        )
        CfnOutput(self, "UserPoolId", value=pool.user_pool_id)
        if not self._ground_truth:
            return _Pool(pool, sign_in)
        return self._own_workforce(pool, domain, sign_in)

    def _own_workforce(self, pool: cognito.UserPool, domain: cognito.UserPoolDomain, sign_in: str) -> _Pool:
        """Make the account's private workforce, which signs people in to Ground Truth's own portal."""
        prefix = names.prefix(self._settings.environment)
        # Ground Truth's portal takes the code grant and keeps a secret.
        client = pool.add_client(
            "PortalClient",
            user_pool_client_name=f"{prefix}-portal",
            generate_secret=True,
            auth_flows=cognito.AuthFlow(user_password=True, user_srp=True),
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(authorization_code_grant=True),
                scopes=[*SCOPES, cognito.OAuthScope.PROFILE],
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
        CfnOutput(self, "UserPoolClientId", value=client.user_pool_client_id)
        CfnOutput(self, "PortalDomain", value=workforce.attr_sub_domain)
        return _Pool(pool, sign_in, client.user_pool_client_id, f"{prefix}-workforce", (workforce,))

    def _imported_pool(self) -> _Pool:
        arn = str(self._settings.labeling.workforce_arn)
        name = arn.rpartition("/")[2]
        any_pool = f"arn:{Aws.PARTITION}:cognito-idp:{Aws.REGION}:{Aws.ACCOUNT_ID}:userpool/*"
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
                        # Which pool the workforce has is what is looked up.
                        iam.PolicyStatement(actions=["cognito-idp:DescribeUserPool"], resources=[any_pool]),
                        iam.PolicyStatement(
                            actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group.log_group_arn]
                        ),
                    ]
                )
            },
        )
        acknowledge(role, "Which pool the workforce has is what is looked up.", finding(any_pool))
        workforce = self._look_up(
            "LookUp",
            custom_resources.AwsSdkCall(
                service="SageMaker",
                action="describeWorkforce",
                parameters={"WorkforceName": name},
                physical_resource_id=custom_resources.PhysicalResourceId.of(arn),
                output_paths=["Workforce.CognitoConfig.UserPool", "Workforce.CognitoConfig.ClientId"],
            ),
            role,
            log_group,
        )
        pool_id = workforce.get_response_field("Workforce.CognitoConfig.UserPool")
        described = self._look_up(
            "LookUpDomain",
            custom_resources.AwsSdkCall(
                service="CognitoIdentityServiceProvider",
                action="describeUserPool",
                parameters={"UserPoolId": pool_id},
                physical_resource_id=custom_resources.PhysicalResourceId.of(f"{arn}/domain"),
                output_paths=["UserPool.Domain"],
            ),
            role,
            log_group,
        )
        return _Pool(
            cognito.UserPool.from_user_pool_id(self, "Pool", pool_id),
            sign_in_address(self._settings, described.get_response_field("UserPool.Domain")),
            workforce.get_response_field("Workforce.CognitoConfig.ClientId"),
            name,
        )

    def _look_up(
        self, construct_id: str, call: custom_resources.AwsSdkCall, role: iam.Role, log_group: logs.LogGroup
    ) -> custom_resources.AwsCustomResource:
        return custom_resources.AwsCustomResource(
            self,
            construct_id,
            on_create=call,
            on_update=call,
            role=role.without_policy_updates(),
            install_latest_aws_sdk=False,
            log_group=log_group,
        )

    def _page_client(self, pool: _Pool) -> SignIn:
        """Make the page's app client: it runs in browsers, so it keeps no secret and proves itself by PKCE."""
        here = f"{self._address}/"
        client = pool.pool.add_client(
            "PageClient",
            user_pool_client_name=f"{names.prefix(self._settings.environment)}-page",
            generate_secret=False,
            # People use the hosted sign-in; the command line sends no password but proves to know it.
            auth_flows=cognito.AuthFlow(user_srp=True),
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(authorization_code_grant=True),
                scopes=[*SCOPES, ACCOUNT_SCOPE],
                callback_urls=[here],
                logout_urls=[here],
            ),
            supported_identity_providers=[cognito.UserPoolClientIdentityProvider.COGNITO],
            prevent_user_existence_errors=True,
            enable_token_revocation=True,
            access_token_validity=Duration.hours(1),
            id_token_validity=Duration.hours(1),
            refresh_token_validity=Duration.days(30),
        )
        CfnOutput(self, "PageClientId", value=client.user_pool_client_id)
        pool_id = pool.pool.user_pool_id
        return SignIn(
            issuer=f"https://cognito-idp.{Aws.REGION}.{Aws.URL_SUFFIX}/{pool_id}",
            client_id=client.user_pool_client_id,
            address=pool.sign_in,
            pool_id=pool_id,
        )

    def _people(self, pool: cognito.IUserPool) -> cognito.CfnUserPoolGroup:
        """Invite everyone, and put each into the groups that the settings say; answers the annotators' group."""
        labeling = self._settings.labeling
        everyone: dict[str, str] = {}
        for email in (*labeling.members, *labeling.owners):
            everyone.setdefault(email.lower(), email)
        users = self._invited(pool, everyone) if labeling.workforce_arn else self._users(pool, everyone)
        annotators = self._group(
            "Group", pool, names.annotators(self._settings.environment), "People who label menu photos"
        )
        owners = self._group(
            "Owners", pool, names.owners(self._settings.environment), "People who own labeling jobs and settle doubts"
        )
        for group, emails, part in ((annotators, labeling.members, "InGroup"), (owners, labeling.owners, "Owner")):
            for email in emails:
                user = users[email.lower()]
                cognito.CfnUserPoolUserToGroupAttachment(
                    self,
                    f"{part}{stable_id(email)}",
                    user_pool_id=pool.user_pool_id,
                    group_name=group.ref,
                    username=user.name,
                ).node.add_dependency(*user.before)
        return annotators

    def _users(self, pool: cognito.IUserPool, everyone: Mapping[str, str]) -> dict[str, _User]:
        """Make everyone a user of our own pool; what is added to the settings comes, what is taken out goes."""
        users: dict[str, _User] = {}
        for key, email in everyone.items():
            user = cognito.CfnUserPoolUser(
                self,
                f"Member{stable_id(email)}",
                user_pool_id=pool.user_pool_id,
                username=email,
                desired_delivery_mediums=["EMAIL"],
                user_attributes=[
                    cognito.CfnUserPoolUser.AttributeTypeProperty(name="email", value=email),
                    cognito.CfnUserPoolUser.AttributeTypeProperty(name="email_verified", value="true"),
                ],
            )
            users[key] = _User(user.ref)
        return users

    def _invited(self, pool: cognito.IUserPool, everyone: Mapping[str, str]) -> dict[str, _User]:
        """Invite those whom an imported pool does not know yet; nobody is ever taken out of it."""
        invite = InvitePeople(self, "InvitePeople", settings=self._settings, pool=pool)
        invited = CustomResource(
            self,
            "People",
            service_token=invite.function.function_arn,
            resource_type="Custom::People",
            properties={"Emails": list(everyone.values())},
        )
        return {key: _User(email, (invited,)) for key, email in everyone.items()}

    def _group(
        self, construct_id: str, pool: cognito.IUserPool, name: str, description: str
    ) -> cognito.CfnUserPoolGroup:
        return cognito.CfnUserPoolGroup(
            self, construct_id, user_pool_id=pool.user_pool_id, group_name=name, description=description
        )

    def _team(self, pool: _Pool, group: cognito.CfnUserPoolGroup) -> str:
        """Make the team; answers its ARN by its name, for an export would keep the provider as it is for ever."""
        name = names.workteam(self._settings.environment)
        team = sagemaker.CfnWorkteam(
            self,
            "Team",
            workteam_name=name,
            workforce_name=pool.workforce_name,
            description="People who label menu photos",
            member_definitions=[
                sagemaker.CfnWorkteam.MemberDefinitionProperty(
                    cognito_member_definition=sagemaker.CfnWorkteam.CognitoMemberDefinitionProperty(
                        cognito_user_pool=pool.pool.user_pool_id,
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
        return sagemaker_arn(f"workteam/private-crowd/{name}")
