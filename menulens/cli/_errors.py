"""What an error means for the person who typed a command."""

from __future__ import annotations

from typing import Final

from botocore.exceptions import (
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

_SIGNED_OUT: Final = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
_NO_ANSWER: Final = (EndpointConnectionError, ConnectTimeoutError)
UNREACHED: Final = (*_SIGNED_OUT, *_NO_ANSWER)
"""Errors of botocore that are no fault of ours: nobody is signed in to the cloud, or it does not answer."""


def told(error: Exception) -> str:
    """Return what went wrong and, where the error itself does not say it, what to do."""
    if isinstance(error, _SIGNED_OUT):
        return f"{str(error).rstrip('.')}. Sign in to the account first: aws sso login, or AWS_PROFILE=<profile>."
    if isinstance(error, _NO_ANSWER):
        address = str(error.kwargs.get("endpoint_url"))
        if address.startswith("http://127.0.0.1"):
            return f"The local cloud does not answer at {address}. Start it again: menulens local up"
        return f"{address} can't be reached. Is there a network, and is the region in the settings right?"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename2 or error.filename}: {error.strerror}."
    return str(error)
