"""Reads a PyTorch state dict of the format before zip files, without PyTorch and without running what it pickles."""

from __future__ import annotations

import collections
import pickle
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
_DTYPES: Final = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


class WeightsError(Exception):
    """A weights file that is not what it should be, or asks for more than numbers."""


class _Storage:
    """A flat run of numbers that tensors are views of; filled after the pickles are read."""

    def __init__(self, dtype: str, count: int) -> None:
        self.dtype, self.count = dtype, count
        self.numbers: np.ndarray[Any, Any] = np.empty(0, dtype)


def _tensor(
    storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> tuple[Any, ...]:
    return storage, offset, size, stride


class _Unpickler(pickle.Unpickler):
    """Knows tensors and ordered dicts; every other name is refused, so a pickle can't run anything."""

    def __init__(self, file: BinaryIO, storages: dict[str, _Storage]) -> None:
        super().__init__(file)
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _DTYPES:
            return name
        raise WeightsError(f"the weights file asks for {module}.{name}; only tensors are allowed")

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, _, count = pid[:5]
        return self.storages.setdefault(key, _Storage(_DTYPES[kind], count))


def read_state_dict(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return every tensor of a state dict by its name.

    Raises
    ------
    WeightsError
        If the file is of another format, ends early, or holds more than tensors.
    """
    storages: dict[str, _Storage] = {}
    with path.open("rb") as file:
        try:
            magic, protocol = _Unpickler(file, storages).load(), _Unpickler(file, storages).load()
        except (pickle.UnpicklingError, EOFError) as error:
            raise WeightsError(f"{path}: not a PyTorch weights file: {error}") from error
        if (magic, protocol) != (_MAGIC, _PROTOCOL):
            raise WeightsError(f"{path}: not a PyTorch weights file of the format before zip files")
        _Unpickler(file, storages).load()  # the writer's sizes of C types: every platform of today has the same
        tensors = _Unpickler(file, storages).load()
        for key in _Unpickler(file, storages).load():
            storage = storages[key]
            count = int.from_bytes(file.read(8), "little")
            data = file.read(count * np.dtype(storage.dtype).itemsize)
            if count != storage.count or len(data) != count * np.dtype(storage.dtype).itemsize:
                raise WeightsError(f"{path}: the file ends early or storage {key} has the wrong length")
            storage.numbers = np.frombuffer(data, storage.dtype)
    return {name: _view(*tensor) for name, tensor in tensors.items()}


def _view(storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> np.ndarray[Any, Any]:
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if 0 in size or offset < 0 or min(stride, default=0) < 0 or last >= storage.count:
        raise WeightsError("a tensor of the weights file reaches past its storage")
    item = storage.numbers.itemsize
    view = np.lib.stride_tricks.as_strided(storage.numbers[offset:], size, [step * item for step in stride])
    return view.copy()
