"""Access tokens of this cloud's user pools, checked against the pools' published keys."""

from __future__ import annotations

import threading

import jwt

from menulens.local import ministack_hooks as hooks
from menulens.local.config import LocalConfig


class TokenError(Exception):
    """A token that is forged, expired, or no access token of a pool here."""


class AccessTokens:
    """Checks access tokens."""

    def __init__(self, config: LocalConfig) -> None:
        self._config = config
        self._keys: dict[str, jwt.PyJWKClient] = {}
        self._lock = threading.Lock()

    def check(self, token: str) -> str:
        """Return the subject of a genuine access token.

        Raises
        ------
        TokenError
            If it is none.
        """
        try:
            client = str(jwt.decode(token, options={"verify_signature": False}).get("client_id"))
            pool = hooks.pool_of_client(client)
            if pool is None:
                raise TokenError("The token's client is not known here.")
            claims = jwt.decode(
                token,
                self._keys_of(pool).get_signing_key_from_jwt(token).key,
                algorithms=["RS256"],
                issuer=f"https://cognito-idp.{self._config.region}.amazonaws.com/{pool}",
                options={"verify_aud": False, "require": ["exp", "iss", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise TokenError(f"The token is not valid: {error}") from None
        if claims.get("token_use") != "access":
            raise TokenError("An access token is due.")
        return str(claims["sub"])

    def _keys_of(self, pool: str) -> jwt.PyJWKClient:
        with self._lock:
            if pool not in self._keys:
                url = f"{self._config.endpoint_url}/{pool}/.well-known/jwks.json"
                self._keys[pool] = jwt.PyJWKClient(url, cache_keys=True, lifespan=300)
            return self._keys[pool]
