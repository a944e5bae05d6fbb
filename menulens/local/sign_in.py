"""Signing in to the labeling page: Cognito's password flow, and tokens checked against the pool's published keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from typing import Any

import jwt
from botocore.exceptions import ClientError

from menulens.local.config import LocalConfig
from menulens.local.labeling_store import Worker
from menulens.local.workforce import Workforces

NEW_PASSWORD = "NEW_PASSWORD_REQUIRED"  # noqa: S105 (a challenge's name)
_REFUSED = (
    "NotAuthorizedException",
    "UserNotFoundException",
    "PasswordResetRequiredException",
    "UserNotConfirmedException",
    "InvalidPasswordException",
    "InvalidParameterException",
)


class SignInError(Exception):
    """Someone who can't come in; the message may be shown to them."""


class SignIn:
    """Tokens for people of the private workforce."""

    def __init__(self, config: LocalConfig, workforces: Workforces) -> None:
        self._config = config
        self._workforces = workforces
        self._keys: dict[str, jwt.PyJWKClient] = {}
        self._lock = threading.Lock()

    def _pool(self) -> tuple[str, str]:
        """Return the workforce's user pool and app client."""
        for workforce in self._workforces.workforces.values():
            if cognito := workforce.get("CognitoConfig"):
                return cognito["UserPool"], cognito["ClientId"]
        raise SignInError("There is no private workforce here yet; deploy the stacks first.")

    def start(self, username: str, password: str, new_password: str | None) -> dict[str, str]:
        """Return ``{"token": …}``, or ``{"challenge": "NEW_PASSWORD_REQUIRED"}`` when a first password must be changed.

        Raises
        ------
        SignInError
            If Cognito refuses.
        """
        pool, client_id = self._pool()
        cognito = self._config.client("cognito-idp")
        secret = cognito.describe_user_pool_client(UserPoolId=pool, ClientId=client_id)["UserPoolClient"].get(
            "ClientSecret"
        )
        proof = {"SECRET_HASH": _secret_hash(username, client_id, secret)} if secret else {}
        try:
            answer = cognito.initiate_auth(
                AuthFlow="USER_PASSWORD_AUTH",
                ClientId=client_id,
                AuthParameters={"USERNAME": username, "PASSWORD": password, **proof},
            )
            if answer.get("ChallengeName") == NEW_PASSWORD:
                if not new_password:
                    return {"challenge": NEW_PASSWORD}
                answer = cognito.respond_to_auth_challenge(
                    ClientId=client_id,
                    ChallengeName=NEW_PASSWORD,
                    Session=answer["Session"],
                    ChallengeResponses={"USERNAME": username, "NEW_PASSWORD": new_password, **proof},
                )
        except ClientError as error:
            if error.response["Error"]["Code"] in _REFUSED:
                raise SignInError(error.response["Error"]["Message"]) from None
            raise
        if "AuthenticationResult" not in answer:
            raise SignInError(f"Cognito asks for {answer.get('ChallengeName')}, which this page does not know.")
        return {"token": answer["AuthenticationResult"]["AccessToken"]}

    def worker(self, token: str) -> Worker:
        """Return whose token it is.

        Raises
        ------
        SignInError
            If it is forged, expired, of another pool or of another client.
        """
        pool, client_id = self._pool()
        issuer = f"https://cognito-idp.{self._config.region}.amazonaws.com/{pool}"
        try:
            key = self._key_client(pool).get_signing_key_from_jwt(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=["RS256"],
                issuer=issuer,
                options={"verify_aud": False, "require": ["exp", "iss", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise SignInError(f"The session is not valid ({error}); sign in again.") from None
        use = claims.get("token_use")
        audience = claims.get("client_id") if use == "access" else claims.get("aud")
        if use not in ("access", "id") or audience != client_id:
            raise SignInError("The token is for another application; sign in here.")
        return Worker(
            sub=claims["sub"],
            name=str(claims.get("email") or claims.get("username") or claims.get("cognito:username") or claims["sub"]),
            issuer=issuer,
            pool=pool,
            groups=frozenset(claims.get("cognito:groups", ())),
        )

    def _key_client(self, pool: str) -> jwt.PyJWKClient:
        with self._lock:
            if pool not in self._keys:
                url = f"{self._config.endpoint_url}/{pool}/.well-known/jwks.json"
                self._keys[pool] = jwt.PyJWKClient(url, cache_keys=True, lifespan=300)
            return self._keys[pool]


def _secret_hash(username: str, client_id: str, secret: str) -> str:
    digest = hmac.new(secret.encode(), (username + client_id).encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
