"""The step that invites people into a user pool which is not ours."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_iam as iam
from constructs import Construct

from menulens.core import deployed
from menulens.settings import Settings
from stacks.steps.base import Function


class InvitePeople(Function):
    """Make users of those who are none yet; CloudFormation's own users would clash with the others, and go with us."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, pool: cognito.IUserPool) -> None:
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="invite_people",
            environment={deployed.USER_POOL_ID: pool.user_pool_id},
            statements=[iam.PolicyStatement(actions=["cognito-idp:AdminCreateUser"], resources=[pool.user_pool_arn])],
            timeout=Duration.minutes(5),
        )
