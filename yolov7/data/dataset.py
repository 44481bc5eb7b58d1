"""Records in memory that workers share, and the map from a sample key to a sample."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from yolov7.data.samplers import SampleKey, sample_rng
from yolov7.utils.errors import ImageError

logger = logging.getLogger(__name__)

Mapper = Callable[..., dict[str, Any]]

_MOST_ATTEMPTS = 10


class SharedRecords(Sequence):
    """A read-only list of records, serialised into one buffer that worker processes share.

    A list of Python objects is copied page by page into every worker, since reading an object
    writes its reference count. Here a worker only reads bytes: forked workers see the parent's
    pages; for spawned workers the bytes move to shared memory once, when the records are first
    sent, and handles are sent. A record is rebuilt at each access, so callers may edit it.

    Args:
        records: the records; anything that can be pickled.
    """

    def __init__(self, records: Iterable[dict[str, Any]]) -> None:
        pieces = [pickle.dumps(record, protocol=pickle.HIGHEST_PROTOCOL) for record in records]
        ends = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
        self._limits = torch.from_numpy(ends)
        self._bytes = torch.frombuffer(bytearray(b"".join(pieces) or b"\0"), dtype=torch.uint8)
        self._make_views()

    def _make_views(self) -> None:
        # Indexing tensors is several times slower than what follows it.
        self._limits_view = self._limits.numpy()
        self._bytes_view = memoryview(self._bytes.numpy())

    def __getstate__(self) -> tuple[torch.Tensor, torch.Tensor]:
        if not self._bytes.is_shared():
            # PyTorch would do this itself while sending, and leave the views to freed memory.
            self._limits.share_memory_()
            self._bytes.share_memory_()
            self._make_views()
        return self._limits, self._bytes

    def __setstate__(self, state: tuple[torch.Tensor, torch.Tensor]) -> None:
        self._limits, self._bytes = state
        self._make_views()

    def __len__(self) -> int:
        return len(self._limits_view) - 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        index %= len(self)
        begin, end = self._limits_view[index], self._limits_view[index + 1]
        return pickle.loads(self._bytes_view[begin:end])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))

    @property
    def nbytes(self) -> int:
        """Size of the shared buffer in bytes."""
        return self._bytes.nbytes + self._limits.nbytes


class TrainingDataset(Dataset):
    """The map from sample keys to training samples: a pure function of (seed, key).

    Args:
        records: all records; the index of a key refers to them.
        mapper: called as `mapper(record, rng=…, key=…)`; returns the sample, or None to have the
            record replaced.
        seed: the run's seed, not negative.
        skip_bad_images: False raises the `ImageError` of a missing or bad image; True replaces
            the sample by that of a record drawn from the key's generator. The sample's
            `skipped_images` says how many were skipped for it (a Mosaic counts as one).
    """

    def __init__(
        self,
        records: Sequence[dict[str, Any]],
        mapper: Mapper,
        *,
        seed: int,
        skip_bad_images: bool = False,
    ) -> None:
        self.records = records
        self._mapper = mapper
        self._seed = seed
        self._skip_bad_images = skip_bad_images

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: SampleKey) -> dict[str, Any]:
        index, skipped = key.index, 0
        for attempt in range(_MOST_ATTEMPTS):
            rng = sample_rng(self._seed, key, attempt)
            if attempt:
                index = int(rng.integers(len(self.records)))
            try:
                sample = self._mapper(self.records[index], rng=rng, key=key)
            except ImageError as error:
                if not self._skip_bad_images:
                    raise
                skipped += 1
                logger.warning("Skipped an image: %s", error)
                continue
            if sample is not None:
                sample["skipped_images"] = skipped
                return sample
        raise ImageError(
            f"{_MOST_ATTEMPTS} images in a row could not be used, the last one "
            f"{self.records[index].get('file_name')}. Check the data set's image folder."
        )


class InferenceDataset(Dataset):
    """The map from an index to a test sample. A bad image is always an error here.

    Args:
        records: all records.
        mapper: called as `mapper(record)`.
    """

    def __init__(self, records: Sequence[dict[str, Any]], mapper: Mapper) -> None:
        self.records = records
        self._mapper = mapper

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._mapper(self.records[index])
