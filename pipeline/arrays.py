"""Columns of parts as arrays: what select works on. Never a column of text."""

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus import document, storage
from corpus.document import DOCUMENT
from corpus.terminal import StepError
from pipeline import columns


class Labels:
    """A column of few distinct strings: `values`, each once, and `index`, (documents,) places among them."""

    def __init__(self, values: Sequence[str], index: np.ndarray):
        self.values, self.index = list(values), index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows) -> "Labels":
        return Labels(self.values, self.index[rows])

    def astype(self, kind: type) -> np.ndarray:
        return np.array(self.values, object)[self.index].astype(kind) if self.values else np.empty(0, kind)

    def map(self, function: Callable) -> np.ndarray:
        """function(label) for each document, called once per distinct label."""
        return np.array([function(v) for v in self.values])[self.index] if self.values else np.empty(0, bool)

    def places(self, known: Sequence[str]) -> np.ndarray:
        """(documents,) int64: the place of each document's label among sorted `known`."""
        places = np.searchsorted(np.array(known, str), np.array(self.values, str))
        return places[self.index] if self.values else np.empty(0, np.int64)


def labels(column: np.ndarray) -> Labels:
    """An array of strings as Labels."""
    values, index = np.unique(column.astype(str), return_inverse=True)
    return Labels(values.tolist(), index)


def _open(path: str):
    """A part for reading columns: unbuffered where it is local, so that nothing is read but what is asked for."""
    return storage.open_read(path) if storage.is_remote(path) else pa.OSFile(path)


def names(path: str) -> list[str]:
    """The columns that a part has."""
    with _open(path) as file:
        return footer(path, file).schema.to_arrow_schema().names


def metadata(path: str) -> dict:
    """The values that its step wrote into a part; {} where it is not there or not whole."""
    try:
        with _open(path) as file:
            return document.read_metadata(pa.schema([], metadata=footer(path, file).metadata))
    except (OSError, pa.ArrowInvalid):
        return {}


_footers: OrderedDict[tuple, pq.FileMetaData] = OrderedDict()
_FOOTERS = 256


def footer(path: str, file) -> pq.FileMetaData:
    """The footer of a part that is open; those of local parts are remembered as long as the file is the same."""
    if storage.is_remote(path):
        return pq.read_metadata(file)
    stat = os.stat(path)
    key = (path, stat.st_size, stat.st_mtime_ns)
    if key not in _footers:
        _footers[key] = pq.read_metadata(file)
        if len(_footers) > _FOOTERS:
            _footers.popitem(last=False)
    return _footers[key]


def read(path: str, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns of a part by name. Absent ones are left out."""
    with _open(path) as file:
        dictionaries = [n for n in wanted if n == "language"]
        part = pq.ParquetFile(file, metadata=footer(path, file), read_dictionary=dictionaries)
        here = set(part.schema_arrow.names)
        return arrays(part.read([n for n in dict.fromkeys(wanted) if n in here]))


def of_part(folder: str, part: str, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns of a part of the corpus in `folder`, and of what annotate has put beside it. Errors: StepError where that
    has other rows than the documents."""
    path = storage.join(folder, "documents", part)
    found = read(path, wanted)
    for name in (n for n in dict.fromkeys(wanted) if n not in DOCUMENT.names):
        column, aligned = columns.beside(folder, part, name)
        if aligned != metadata(path).get("fingerprint"):
            raise StepError(f"{folder}/{columns.FOLDER}/{name}/{part}: of other documents; annotate again")
        found |= _array(name, column)
    return found


def arrays(table: pa.Table) -> dict[str, np.ndarray]:
    """Fixed-size binary as V(n), moments as seconds, language as Labels, other strings as objects; lists as their
    values, with `NAME.ends`, where each row's values end."""
    return {k: v for name in table.column_names for k, v in _array(name, table.column(name)).items()}


def _array(name: str, chunks: pa.ChunkedArray) -> dict:
    if pa.types.is_dictionary(chunks.type):
        whole = chunks.unify_dictionaries().combine_chunks()
        whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
        return {name: Labels(whole.dictionary.to_pylist(), whole.indices.to_numpy(zero_copy_only=False))}
    column = chunks.combine_chunks()
    if pa.types.is_fixed_size_binary(column.type):
        width, data = column.type.byte_width, column.buffers()[1]
        return {name: np.frombuffer(data or b"", f"V{width}", len(column), column.offset * width if data else 0)}
    if pa.types.is_list(column.type):
        ends = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        return {name: column.flatten().to_numpy(zero_copy_only=False), f"{name}.ends": np.cumsum(ends)}
    if pa.types.is_timestamp(column.type):
        seconds = column.cast(pa.timestamp("s", column.type.tz)).cast(pa.int64())
        return {name: seconds.fill_null(0).to_numpy(zero_copy_only=False)}
    if pa.types.is_string(column.type) and name == "language":
        return {name: labels(column.to_numpy(zero_copy_only=False))}
    return {name: column.to_numpy(zero_copy_only=False)}
