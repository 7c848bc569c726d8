"""Columns of a documents part: its own, and what annotate has put beside it, columns/<name>/part-<item>.parquet."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from corpus import document, storage
from corpus.document import DOCUMENT
from corpus.terminal import StepError, UserError

FOLDER = "columns"


def read(folder: str, part: str, names: Iterable[str]) -> pa.Table:
    """Columns of a part of the corpus in `folder`, by name, in that order. Errors: UserError where a column was never
    made, StepError where it has other rows than the documents."""
    wanted = list(names)
    own = [name for name in wanted if name in DOCUMENT.names]
    with storage.open_read(storage.join(folder, "documents", part)) as file:
        documents = pq.ParquetFile(file)
        rows, table = documents.metadata.num_rows, documents.read(own)
        mark = _metadata(documents).get("fingerprint")
    for name in wanted:
        if name not in own:
            column, aligned = _beside(folder, part, name)
            if len(column) != rows or aligned != mark:
                raise StepError(f"{folder}/{FOLDER}/{name}/{part}: has other rows than the documents; annotate again")
            table = table.append_column(name, column)
    return table.select(wanted)


def _metadata(file: pq.ParquetFile) -> dict:
    return document.read_metadata(pa.schema([], metadata=file.metadata.metadata))


def _beside(folder: str, part: str, name: str) -> tuple[pa.ChunkedArray, str]:
    """The column and the fingerprint of the documents part that it belongs to."""
    try:
        with storage.open_read(storage.join(folder, FOLDER, name, part)) as file:
            found = pq.ParquetFile(file)
            return found.read([name]).column(name), _metadata(found).get("aligned", "")
    except FileNotFoundError:
        raise UserError(
            f"{folder}: no column {name} for {part}; run python -m pipeline annotate, or leave out its threshold"
        ) from None
