"""The errors that the SageMaker service answers with, named and worded as AWS names and words them."""

from __future__ import annotations


class ServiceError(Exception):
    """A request that is refused; ``code`` is AWS's error code, ``status`` the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.extra: dict[str, object] = {}


class JobFailedError(Exception):
    """A job that can't go on; the message becomes its FailureReason."""


def invalid(message: str) -> ServiceError:
    """Return a ValidationException."""
    return ServiceError("ValidationException", message)


def in_use(message: str) -> ServiceError:
    """Return a ResourceInUse error: the name is taken."""
    return ServiceError("ResourceInUse", message)


def not_found(message: str) -> ServiceError:
    """Return a ResourceNotFound error."""
    return ServiceError("ResourceNotFound", message)


def limit_exceeded(message: str) -> ServiceError:
    """Return a ResourceLimitExceeded error."""
    return ServiceError("ResourceLimitExceeded", message)


def conflict(message: str) -> ServiceError:
    """Return a ConflictException."""
    return ServiceError("ConflictException", message)
