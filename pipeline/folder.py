"""A corpus folder read back: its books, its parts, columns of parts, single rows. Whoever only reads a corpus comes
through here; text is read for the rows that are shown and no others."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus import document, shards, storage
from corpus.document import DOCUMENT, SELECTION
from corpus.shards import Manifest
from corpus.terminal import StepError, UserError
from pipeline import books, columns, items
from pipeline.thresholds import NONE, Thresholds

SETTINGS = "settings.toml"


@dataclass(frozen=True)
class Corpus:
    """What a corpus folder holds. selection, manifest: None before those steps are finished."""

    path: str
    plan: list[items.Item]
    documents: dict[str, Any]  # books
    selection: dict[str, Any] | None  # books
    manifest: Manifest | None
    settings: dict[str, dict[str, Any]]  # settings.toml

    @property
    def thresholds(self) -> Thresholds:
        """Those of the selection; the defaults before there is one."""
        table = self.settings.get("thresholds")
        return Thresholds() if table is None else NONE.changed(table, "thresholds")

    @property
    def languages(self) -> tuple[str, ...]:
        """The labels that the selection kept to; () = all."""
        return tuple(self.settings.get("select", {}).get("languages", ()))

    @property
    def respect(self) -> tuple[str, ...]:
        """The wishes of pages that the selection respected."""
        return tuple(self.settings.get("select", {}).get("respect", ()))

    def columns(self, part: int, names: Iterable[str]) -> pa.Table:
        """Columns of a part, those of documents and those of the selection side by side. Errors: StepError."""
        table, wanted = None, list(names)
        for folder, schema in (("documents", DOCUMENT), ("selection", SELECTION)):
            mine = [n for n in wanted if n in schema.names]
            if not mine:
                continue
            found = _open(self._part(folder, part)).read(mine)
            if table is None:
                table = found
            elif table.num_rows != found.num_rows:
                raise _unaligned(self._part(folder, part))
            else:
                for name in mine:
                    table = table.append_column(name, found.column(name))
        assert table is not None, f"no column among {wanted}"
        return table

    def rows(self, part: int, rows: Sequence[int], names: Iterable[str]) -> list[dict[str, Any]]:
        """Columns of some rows of a part, by name, in the order of `rows`, which ascend. Columns of the selection are
        left out before there is one; others are looked for beside the documents. Errors: StepError where a row is not
        there."""
        wanted = list(names)
        found: list[dict[str, Any]] = [{} for _ in rows]
        for folder, schema in (("documents", DOCUMENT), ("selection", SELECTION)):
            mine = [n for n in wanted if n in schema.names]
            if mine and (folder == "documents" or self.selection is not None):
                for row, values in zip(found, _rows(self._part(folder, part), rows, mine), strict=True):
                    row |= values
        for name in wanted:
            if name not in DOCUMENT.names and name not in SELECTION.names:
                path = storage.join(self.path, columns.FOLDER, name, self.plan[part].part)
                for row, values in zip(found, _rows(path, rows, [name]), strict=True):
                    row |= values
        return found

    def row(self, address: int, names: Iterable[str]) -> dict[str, Any]:
        """Columns of one document, by name. Errors: StepError where the address points to nothing."""
        part, row = document.place(address)
        for first, path in reversed((self.selection or {}).get("against", ())):
            if part >= first:  # it lies in an older corpus
                return read(path).row(document.address(part - first, row), names)
        if part >= len(self.plan):
            raise StepError(f"{self.path}: no part {part} in the plan; run python -m pipeline select again")
        return self.rows(part, [row], names)[0]

    def _part(self, folder: str, part: int) -> str:
        return storage.join(self.path, folder, self.plan[part].part)


def read(path: str) -> Corpus:
    """Open a corpus folder. Errors: UserError where there are no finished documents."""
    path = path.rstrip("/") or "/"
    plan, made = documents_of(path)
    selected = books.read(path, "selection")
    if selected is not None and selected["documents"] != made["documents"]:
        selected = None
    return Corpus(path, plan, made, selected, _manifest(path, selected), settings_of(path))


def _check_format(folder: str) -> None:
    """Refuse documents of another format version: they lack columns, or hold others."""
    there = settings_of(folder).get("extract", {}).get("format", document.FORMAT)
    if there != document.FORMAT:
        raise UserError(
            f"{folder}: documents of format {there}, this version has {document.FORMAT}; extract them again into "
            "another folder, or use the version that made them"
        )


def documents_of(folder: str) -> tuple[list[items.Item], dict]:
    """The plan and the books of the documents. After a run in slices the books are summed here from the parts."""
    _check_format(folder)
    plan = items.read_plan(storage.join(folder, "documents"))
    made = books.read(folder, "documents")
    if made is not None and set(made.get("counts", {})) == {i.part for i in plan}:
        return plan, made
    from pipeline import extract  # with all that reads pages, so late

    receipts = [extract.read_receipt(storage.join(folder, "documents", i.part)) for i in plan]
    missing = [i for i, r in zip(plan, receipts, strict=True) if r is None]
    if missing:
        raise UserError(
            f"{folder}/documents: {len(missing)} of {len(plan)} parts are missing, say that of "
            f"{missing[0].path}; run python -m pipeline extract to the end"
        )
    receipt = items.add_receipts(r for r in receipts if r)
    books.check_extract(receipt, len(plan))
    books.write_failed(folder, books.failed_files(receipt))
    books.write(folder, "documents", receipt)
    return plan, receipt


def _manifest(path: str, selected: dict | None) -> Manifest | None:
    """The manifest, if it is that of the selection."""
    try:
        manifest = shards.read_manifest(storage.join(path, "tokens"))
    except UserError:
        return None
    documents = sum(s.documents for s in manifest.shards)
    return manifest if selected is not None and documents == selected["kept"] else None


def settings_of(path: str) -> dict:
    """The tables of settings.toml; {} if there is none."""
    import tomllib

    try:
        return tomllib.loads(storage.read(storage.join(path, SETTINGS)).decode())
    except FileNotFoundError:
        return {}


def tokens_per_character(vocabulary: str) -> dict[str, float]:
    """What a character of each language costs, from a vocabulary's audit.json: measured on documents of its sample.
    Errors: UserError."""
    path = storage.join(vocabulary, "audit.json")
    try:
        return {str(k): float(v) for k, v in json.loads(storage.read(path))["tokens_per_character"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: not there or no audit; run python -m tokenizer train first") from None


def audit(corpus: Corpus) -> dict[str, dict]:
    """Figures of the vocabulary by language, from vocabulary/audit.json; {} if there is none for these tokens."""
    try:
        values = json.loads(storage.read(storage.join(corpus.path, "vocabulary", "audit.json")))
        if corpus.manifest is None or values["vocabulary"] != corpus.manifest.vocabulary:
            return {}
        return {row["language"]: row for row in values["rows"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _open(path: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(storage.open_read(path))
    except (FileNotFoundError, pa.ArrowInvalid):
        raise StepError(f"{path}: missing or damaged; run the step that made it again") from None


def _rows(path: str, rows: Sequence[int], names: list[str]) -> list[dict[str, Any]]:
    """Rows of a Parquet file; only the row groups that hold them are read."""
    file = _open(path)
    found: list[dict[str, Any]] = []
    begin = 0
    for group in range(file.metadata.num_row_groups):
        end = begin + file.metadata.row_group(group).num_rows
        mine = [row - begin for row in rows if begin <= row < end]
        if mine:
            found += file.read_row_group(group, columns=names).take(mine).to_pylist()
        begin = end
    if len(found) < len(rows):
        raise _unaligned(path)
    return found


def _unaligned(path: str) -> StepError:
    return StepError(f"{path}: has other rows than the part beside it; run python -m pipeline select again")
