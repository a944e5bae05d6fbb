"""Photos are shown through tokens: signed, for one person, one item of one job, and a while."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import Final

from menulens.portal.context import Portal
from menulens.portal.model import Job, PortalError
from menulens.portal.reading import find
from menulens.storage import ObjectMissingError

SECONDS: Final = 600
OWNER_SECONDS: Final = 3_600
"""An owner's lists are long, and are looked at for longer."""
OVER: Final = "token-over"
"""Code of the refusal of a token that was good: who comes back to an old page has not guessed."""
_COPY: Final = re.compile(r"display/[0-9a-f]{2}/[0-9a-f]{64}\.jpg")
_LONGEST: Final = 1_024


@dataclass(frozen=True, slots=True)
class Claim:
    """What a token allows."""

    job: str
    item: str
    person: str
    copy: str
    ends: int


def token(portal: Portal, job: Job, item: str, person: str, copy: str, *, lives: int = SECONDS) -> str:
    """Return a token for a display copy.

    Parameters
    ----------
    item
        An item's id, or any other word for what is shown: ``example``.
    copy
        Key of the display copy in the labels bucket.
    lives
        Seconds that it is good for.
    """
    ends = int(portal.clock()) + lives
    body = json.dumps([job.name, item, person, copy, ends], separators=(",", ":")).encode()
    return f"{_encode(body)}.{_encode(_sign(job.photo_key, body))}"


def read(portal: Portal, text: str, person: str) -> tuple[Claim, bytes]:
    """Return what a token allows, and the JPEG that it is for.

    Raises
    ------
    PortalError
        With status 403 if the token was altered, is another person's, or has run out (``OVER``); 404 if the copy is
        gone.
    """
    claim = _checked(portal, text, person)
    try:
        return claim, portal.storage.read_bytes(f"s3://{portal.labels_bucket}/{claim.copy}")
    except ObjectMissingError:
        raise PortalError("no-photo", "This photo is not there any more.", 404) from None


def _checked(portal: Portal, text: str, person: str) -> Claim:
    refused = PortalError("bad-token", "This link is not for you, or its time is over; ask for the task again.", 403)
    body_text, dot, signature_text = text.partition(".")
    if not dot or len(text) > _LONGEST:
        raise refused
    try:
        body, signature = _decode(body_text), _decode(signature_text)
        name, item, whose, copy, ends = json.loads(body)
    except (ValueError, TypeError, binascii.Error):
        raise refused from None
    if not all(isinstance(one, str) for one in (name, item, whose, copy)) or not isinstance(ends, int):
        raise refused
    job = find(portal, name)
    # The signature is checked before anything that the token says is believed.
    if job is None or not hmac.compare_digest(signature, _sign(job.photo_key, body)):
        raise refused
    if whose != person or not _COPY.fullmatch(copy):
        raise refused
    if ends < portal.clock():
        raise PortalError(OVER, "This link's time is over; ask for the task again.", 403)
    return Claim(name, item, whose, copy, ends)


def _sign(key: str, body: bytes) -> bytes:
    return hmac.digest(bytes.fromhex(key), body, hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _encode(data) != text:  # the last character has bits that say nothing: one text for one token
        raise ValueError("not canonical")
    return data
