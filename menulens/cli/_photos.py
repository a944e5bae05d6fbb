"""What the commands that work on photos share: the cloud by its name, photos from files and S3, progress on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from menulens.cloud import LOCAL_ENVIRONMENT, Cloud, CloudError, connect
from menulens.core import names
from menulens.search.embedding import Embedded, EndpointError, EndpointMissingError, embed_photos
from menulens.search.store import StoredTags, StoredVectors, VectorStoreError, load_tags, load_vectors
from menulens.settings import settings_of
from menulens.storage import Storage, StorageError, is_s3

Environment = Annotated[
    str, typer.Option("--environment", "-e", help="Where: local, or an account's environment by its settings file.")
]
LOCAL = LOCAL_ENVIRONMENT
Stored = TypeVar("Stored", bound=StoredTags)
errors = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Room:
    """One environment opened: its cloud and its objects."""

    cloud: Cloud
    storage: Storage

    @property
    def photos(self) -> str:
        """The photo bucket, as ``s3://name``."""
        return f"s3://{self.cloud.bucket('photos')}"

    def uri(self, photo: str) -> str:
        """Return where a photo given as key or URI lies."""
        return photo if is_s3(photo) else f"{self.photos}/{photo}"

    def read(self, photo: str) -> bytes:
        """Return the bytes of a photo: a file where there is one of that name, else an S3 key or URI."""
        path = Path(photo)
        if not is_s3(photo) and path.is_file():
            return path.read_bytes()
        try:
            return self.storage.read_bytes(self.uri(photo))
        except StorageError as error:
            raise StorageError(f"no file {photo}, and {error}" if not is_s3(photo) else str(error)) from None

    def embed(self, photos: Iterable[str]) -> Iterator[Embedded]:
        """Yield the endpoint's answer for each photo.

        Raises
        ------
        CloudError
            If there is no endpoint, or it fails.
        """
        endpoint = names.endpoint(self.cloud.settings.environment)
        try:
            yield from embed_photos(self.cloud.client("sagemaker-runtime"), endpoint, self._each(photos))
        except EndpointMissingError as error:
            raise CloudError(
                f"{error} A trained, approved model makes one by itself; to do it by hand, start the state machine "
                f"{names.state_machine(self.cloud.settings.environment, 'deploy')} with "
                '{"model_package": "<arn>"} (on this machine: make demo makes everything).'
            ) from None
        except EndpointError as error:
            raise CloudError(str(error)) from None

    def vectors(self, model_version: str | None = None) -> StoredVectors:
        """Return the vectors of a model version (None: the newest).

        Raises
        ------
        CloudError
            If there are none.
        """
        return self._stored(load_vectors, model_version)

    def tags(self) -> StoredTags:
        """Return what the newest model version said of its photos; errors as in :meth:`vectors`."""
        return self._stored(load_tags, None)

    def _stored(self, load: Callable[[Storage, str, str | None], Stored], model_version: str | None) -> Stored:
        try:
            return load(self.storage, f"s3://{self.cloud.bucket('vectors')}", model_version)
        except (VectorStoreError, StorageError) as error:
            machine = names.state_machine(self.cloud.settings.environment, "vectorise")
            raise CloudError(
                f"{error} The state machine {machine} makes them; start it with {{}} (on this machine: make demo)."
            ) from None

    def _each(self, photos: Iterable[str]) -> Iterator[tuple[str, bytes | Exception]]:
        for photo in photos:
            try:
                yield photo, self.read(photo)
            except (StorageError, OSError) as error:
                yield photo, error


def open_room(environment: str) -> Room:
    """Open an environment by its name."""
    cloud = connect(settings_of(environment))
    return Room(cloud, Storage(cloud.client("s3")))


def progress() -> Progress:
    """Return a progress bar on stderr, so that stdout holds results alone."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=errors, transient=True,
    )  # fmt: skip
