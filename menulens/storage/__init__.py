"""One gateway to objects: S3 through a boto3 client that the caller gives, and local files under the same verbs.

A location is a string: ``s3://bucket/key``, or a local path. Nothing written here is visible before it is whole: an
S3 object appears when its upload completes, a local file when it is renamed into place.
"""

from menulens.storage.gateway import Storage
from menulens.storage.places import (
    ObjectArchivedError,
    ObjectChangedError,
    ObjectInfo,
    ObjectMissingError,
    S3Uri,
    S3UriError,
    StorageError,
    is_s3,
    join,
    parse_s3_uri,
)
from menulens.storage.writing import AtomicWriter

__all__ = [
    "AtomicWriter",
    "ObjectArchivedError",
    "ObjectChangedError",
    "ObjectInfo",
    "ObjectMissingError",
    "S3Uri",
    "S3UriError",
    "Storage",
    "StorageError",
    "is_s3",
    "join",
    "parse_s3_uri",
]
