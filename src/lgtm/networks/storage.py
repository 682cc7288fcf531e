"""Numbers of which there may be too many for memory: they lie in a temporary file, and what is asked for is read."""

import os
import tempfile
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from lgtm.errors import UserError


class DiskArray:
    """A growing array of one type in a nameless file of the temporary folder, gone when nothing refers to it.

    Read and written place by place and not mapped: of a memory map all pages around those touched count as the
    process's own. Raises UserError where the folder is full.
    """

    def __init__(self, dtype: np.typing.DTypeLike):
        self.dtype, self.file = np.dtype(dtype), tempfile.TemporaryFile()  # noqa: SIM115

    def append(self, values: np.ndarray) -> None:
        """Add these behind the others."""
        try:
            self.file.write(np.ascontiguousarray(values, self.dtype))
            self.file.flush()
        except OSError as error:
            folder = tempfile.gettempdir()
            raise UserError(
                f"{folder}: {error.strerror} for tokens and a teacher's outputs; set TMPDIR to a larger disk"
            ) from error

    def read(self, first: int, count: int) -> np.ndarray:
        """So many numbers from this place on; read-only."""
        size = self.dtype.itemsize
        return np.frombuffer(os.pread(self.file.fileno(), count * size, first * size), self.dtype)

    def write(self, first: int, values: np.ndarray) -> None:
        """Put these in place of those that stand from this place on."""
        os.pwrite(self.file.fileno(), np.ascontiguousarray(values, self.dtype), first * self.dtype.itemsize)


class DiskTable:
    """A matrix on disk, N × width, whose rows are looked up and overwritten as those of a tensor on the CPU are.

    parts: at least one matrix, their rows one after another; the first one has the type.
    """

    def __init__(self, parts: Iterable[np.ndarray]):
        parts = iter(parts)
        rows = first = next(parts)
        self.array, count = DiskArray(first.dtype), 0
        while rows is not None:
            self.array.append(rows)
            count, rows = count + len(rows), next(parts, None)
        self.shape, self.dtype = (count, first.shape[1]), torch.from_numpy(first[:0].copy()).dtype

    def __getitem__(self, rows: Tensor) -> Tensor:
        width = self.shape[1]
        return torch.from_numpy(np.stack([self.array.read(row * width, width) for row in rows.tolist()]))

    def __setitem__(self, rows: Tensor, values: Tensor) -> None:
        width = self.shape[1]
        for row, own in zip(rows.tolist(), values.numpy(), strict=True):
            self.array.write(row * width, own)
