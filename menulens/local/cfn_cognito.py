"""CloudFormation's Cognito users and group memberships, which MiniStack's Cognito has but its CloudFormation lacks."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from menulens.local import ministack_hooks as hooks
from menulens.local.config import LocalConfig

_SEPARATOR = "|"


class CognitoResources:
    """Registers ``AWS::Cognito::UserPoolUser`` and ``AWS::Cognito::UserPoolUserToGroupAttachment``."""

    def __init__(self, config: LocalConfig) -> None:
        self._config = config

    def register(self) -> None:
        """Add both types to CloudFormation."""
        hooks.add_resource_type(
            "AWS::Cognito::UserPoolUser",
            create=self._create_user,
            update=self._update_user,
            delete=self._delete_user,
        )
        hooks.add_resource_type(
            "AWS::Cognito::UserPoolUserToGroupAttachment",
            create=self._attach,
            update=self._reattach,
            delete=self._detach,
        )

    @property
    def _cognito(self) -> Any:
        return self._config.client("cognito-idp")

    def _create_user(self, _logical_id: str, props: dict[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        keys = ("Username", "UserAttributes", "ValidationData", "DesiredDeliveryMediums", "ClientMetadata")
        request = {key: props[key] for key in keys if props.get(key)}
        if props.get("MessageAction"):
            request["MessageAction"] = props["MessageAction"]
        if "ForceAliasCreation" in props:
            request["ForceAliasCreation"] = str(props["ForceAliasCreation"]).lower() == "true"
        made = self._cognito.admin_create_user(UserPoolId=props["UserPoolId"], **request)
        name = props.get("Username") or made["User"]["Username"]
        return name, {}

    def _update_user(
        self, physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str
    ) -> tuple[str, dict[str, Any]]:
        """Replace a user: each of its properties is create-only, as in an account."""
        if (old.get("UserPoolId"), old.get("Username")) == (new.get("UserPoolId"), new.get("Username")):
            self._delete_user(physical_id, old)
            return self._create_user("", new, stack)
        made = self._create_user("", new, stack)
        self._delete_user(physical_id, old)
        return made

    def _delete_user(self, physical_id: str, props: dict[str, Any]) -> None:
        self._unless_gone(self._cognito.admin_delete_user, UserPoolId=props["UserPoolId"], Username=physical_id)

    def _attach(self, _logical_id: str, props: dict[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        keys = ("UserPoolId", "Username", "GroupName")
        self._cognito.admin_add_user_to_group(**{key: props[key] for key in keys})
        return _SEPARATOR.join(props[key] for key in keys), {}

    def _reattach(
        self, physical_id: str, _old: dict[str, Any], new: dict[str, Any], stack: str
    ) -> tuple[str, dict[str, Any]]:
        self._detach(physical_id, {})
        return self._attach("", new, stack)

    def _detach(self, physical_id: str, _props: dict[str, Any]) -> None:
        pool, user, group = physical_id.split(_SEPARATOR)
        self._unless_gone(self._cognito.admin_remove_user_from_group, UserPoolId=pool, Username=user, GroupName=group)

    def _unless_gone(self, operation: Any, **params: Any) -> None:
        try:
            operation(**params)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("UserNotFoundException", "ResourceNotFoundException"):
                raise
