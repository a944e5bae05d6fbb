"""A person's own second factor: codes of an authenticator app, by operations of the user pool that their token allows.

The pool's hosted sign-in asks for a code where one is set up; setting one up when it is optional is left to the
application. Every operation takes the person's own access token, with the scope ``aws.cognito.signin.user.admin``, and
no permission of the function's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import segno
from botocore.exceptions import ClientError

from menulens.portal.model import PortalError

SCOPE: Final = "aws.cognito.signin.user.admin"
CONFIRM_FIRST: Final = ("confirm-first", "Sign in once more to change how you sign in.", HTTPStatus.FORBIDDEN)
ISSUER: Final = "menulens"
KIND: Final = "SOFTWARE_TOKEN_MFA"

_WRONG_CODE: Final = ("wrong-code", "This is not the code that the app shows now.", HTTPStatus.CONFLICT)
_REFUSED: Final = {
    "NotAuthorizedException": CONFIRM_FIRST,
    "PasswordResetRequiredException": ("confirm-first", "Your password is to be reset first.", HTTPStatus.FORBIDDEN),
    "SoftwareTokenMFANotFoundException": ("no-second-factor", "This user pool takes no codes.", HTTPStatus.CONFLICT),
    "InvalidParameterException": ("no-second-factor", "This user pool does not leave it to you.", HTTPStatus.CONFLICT),
    "ConcurrentModificationException": ("try-again", "This changed meanwhile; try again.", HTTPStatus.CONFLICT),
    "CodeMismatchException": _WRONG_CODE,
    "EnableSoftwareTokenMFAException": _WRONG_CODE,
}


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app is given.

    Attributes
    ----------
    secret
        Base32, for those who type.
    address
        The same as an ``otpauth://`` address.
    squares
        The address as a QR code: rows of ``1`` (dark) and ``0``, with its quiet zone.
    """

    secret: str
    address: str
    squares: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """Second factors of a user pool's people.

    Every method takes the person's access token and raises ``PortalError`` where the pool refuses: ``confirm-first``
    (403) for a token without the scope, ``wrong-code`` or ``no-second-factor`` (409).

    Attributes
    ----------
    cognito
        A ``cognito-idp`` client.
    """

    cognito: Any

    def is_on(self, token: str) -> bool:
        """Return whether a person signs in with codes."""
        with _refusals():
            return KIND in self.cognito.get_user(AccessToken=token).get("UserMFASettingList", [])

    def begin(self, token: str) -> Enrolment:
        """Make a new secret; it counts from the first right code on, and the one before until then."""
        with _refusals():
            told = self.cognito.get_user(AccessToken=token)
            secret = self.cognito.associate_software_token(AccessToken=token)["SecretCode"]
        attributes = {one["Name"]: one["Value"] for one in told["UserAttributes"]}
        return enrolment(secret, attributes.get("email", told["Username"]))

    def confirm(self, token: str, code: str) -> None:
        """Check a code of the new secret, and ask for codes from now on."""
        with _refusals():
            answer = self.cognito.verify_software_token(AccessToken=token, UserCode=code)
            if answer["Status"] != "SUCCESS":
                raise PortalError(*_WRONG_CODE)
            self._prefer(token, on=True)

    def end(self, token: str) -> None:
        """Ask for codes no more."""
        with _refusals():
            self._prefer(token, on=False)

    def _prefer(self, token: str, *, on: bool) -> None:
        self.cognito.set_user_mfa_preference(
            AccessToken=token, SoftwareTokenMfaSettings={"Enabled": on, "PreferredMfa": on}
        )


def enrolment(secret: str, person: str) -> Enrolment:
    """Return what an authenticator app is given for a secret.

    Parameters
    ----------
    person
        What the app lists it under, beside our name.
    """
    # https://github.com/google/google-authenticator/wiki/Key-Uri-Format
    address = f"otpauth://totp/{ISSUER}:{quote(person)}?secret={secret}&issuer={ISSUER}"
    code = segno.make(address, error="m", micro=False)
    return Enrolment(secret, address, tuple("".join(map(str, row)) for row in code.matrix_iter(border=4)))


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        told = _REFUSED.get(error.response["Error"]["Code"])
        if told is None:
            raise
        raise PortalError(*told) from None
