"""CSV: one row an item, for spreadsheets and scripts.

Two kinds of table are read. Anyone's: one column names the photo (or holds the text), one may name the category, the
rest are the item's attributes; written back it has the same cells. And ours, known by its column ``menulens:json``: it
has all that a record has. In it the cells of a column whose name ends in ``:json`` are JSON, and an empty cell says
nothing.

Written for Excel in Japan: UTF-8 with a byte order mark, CRLF. A cell that a spreadsheet would take for a formula gets
an apostrophe before it, and loses it when it is read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from menulens.portal.exchange import strict_json
from menulens.portal.exchange.records import (
    MOST_BYTES,
    MOST_RECORDS,
    CategoryNames,
    ExchangeError,
    Imported,
    Label,
    Places,
    Record,
)

FORMAT: Final = "csv"
JSON: Final = ":json"
ATTRIBUTE: Final = "attribute:"
LONGEST_CELL: Final = 4_000_000
PHOTO, TEXT, CATEGORY, CONFIDENCE, HUMAN = "source-ref", "source", "category", "confidence", "human"
GOLD, ANSWERS, OURS = "gold", "answers:json", "menulens:json"
_RESERVED: Final = (PHOTO, TEXT, CATEGORY, CONFIDENCE, HUMAN, GOLD, ANSWERS, OURS)
_PHOTO_NAMES: Final = (PHOTO, "image", "photo", "url")
_TEXT_NAMES: Final = (TEXT, "text")
_LABEL_NAMES: Final = (CATEGORY, "label", "choice")
# What Excel, LibreOffice and Sheets take for the begin of a formula, full-width forms (Japanese input) included; white
# space before it is dropped by some. Apostrophes before it were text already, and stay. A plain number is harmless.
_FORMULA: Final = re.compile(r"'*\s*[=+\-@\t\r\n＝＋－＠]")
_PLAIN_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Reading:
    """How anyone's table is read; a column that is None is found by its usual names."""

    names: CategoryNames
    places: Places = field(default_factory=Places)
    source_column: str | None = None
    label_column: str | None = None
    encoding: str | None = None
    kind: Literal["photo", "text"] | None = None


def read(data: bytes, reading: Reading, where: str = "CSV file") -> Imported:
    """Read a table.

    Raises
    ------
    ExchangeError
        If it has no usable first row, or is no CSV.
    """
    text = _decoded(data, reading.encoding, where)
    delimiter = _delimiter(text)
    rows = _rows(text, delimiter, where)
    header = [_disarmed(name) for name in next(rows, (0, []))[1]]
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise ExchangeError(f"{where}: the column {doubled[0]!r} stands twice in the first row; name each once.")
    table: _OurTable | _AnyTable = _OurTable() if OURS in header else _AnyTable(header, reading, where)
    found = Imported(columns=() if OURS in header else tuple(header))
    for number, cells in rows:
        try:
            if len(cells) > len(header):
                raise strict_json.FaultyValueError("cells", f"{len(cells)} cells stand under {len(header)} columns.")
            row = {name: text for name, cell in zip(header, cells, strict=False) if (text := _disarmed(cell)) != ""}
            found.records.append(table.record(row, found))
            if len(found.records) > MOST_RECORDS:
                raise ExchangeError(f"{where}: more than {MOST_RECORDS:,} records; divide the file.")
        except strict_json.FaultyValueError as fault:
            found.reject(number, fault.code, fault.reason, _row(cells, delimiter).removesuffix("\r\n"))
    return found


def write(records: Sequence[Record], columns: Sequence[str] = ()) -> Iterator[bytes]:
    """Yield the bytes of a table.

    Parameters
    ----------
    columns
        Those of the table that the records came from. If nothing is new since, it is written as it was.

    Raises
    ------
    ExchangeError
        If a record has text that no CSV can hold (half a surrogate pair where no JSON can be).
    """
    if columns and all(_unchanged(record) for record in records):
        rows = [dict((record.carried or {})["row"]) for record in records]
        header = [(name, name) for name in columns]
    else:
        values = [_values(record) for record in records]
        header = _header(values)
        rows = [{column: _cell(row, name, column) for name, column in header if name in row} for row in values]
    # A semicolon or tab in a sole name would be taken for a delimiter, were it not quoted.
    yield b"\xef\xbb\xbf" + _encoded(_row([_armed(column) for _, column in header], quoted=len(header) == 1))
    for cells in rows:
        yield _encoded(_row([_armed(cells.get(column, "")) for _, column in header]))


class _AnyTable:
    """A table that someone else made."""

    def __init__(self, header: list[str], reading: Reading, where: str) -> None:
        self._header, self._reading = header, reading
        self._source = self._find(reading.source_column, (*_PHOTO_NAMES, *_TEXT_NAMES), where)
        if self._source is None:
            raise ExchangeError(
                f"{where}: no column of its first row is one of {', '.join((*_PHOTO_NAMES, *_TEXT_NAMES))}; the first "
                f"row names the columns, and there are: {', '.join(header) or 'none'}. Say which one holds the photo "
                "(s3://…) or the text: --source-column NAME."
            )
        self._label = self._find(reading.label_column, _LABEL_NAMES, where)
        self._is_text = reading.kind == "text" or (reading.kind is None and self._source in _TEXT_NAMES)

    def _find(self, named: str | None, usual: Iterable[str], where: str) -> str | None:
        if named is not None and named not in self._header:
            raise ExchangeError(f"{where}: no column {named!r}; there are: {', '.join(self._header)}.")
        return named or next((name for name in usual if name in self._header), None)

    def record(self, row: dict[str, str], found: Imported) -> Record:
        """Return a row as a record.

        Raises
        ------
        strict_json.FaultyValueError
            If the row names nothing that could be shown.
        """
        given = row.get(self._source or "", "")
        source = given if self._is_text else self._reading.places.ours(given)
        if given.strip() == "":
            raise strict_json.FaultyValueError("no-source", f"The cell under {self._source!r} is empty.")
        if source is None:
            raise strict_json.FaultyValueError(
                "not-in-s3", f"{given:.200} is no photo in S3; copy photos there, and say which prefix became which."
            )
        category, gold = self._category(row, self._label, found), self._category(row, GOLD, found)
        label = None if category is None else Label(category)
        taken = {self._source, self._label, GOLD, PHOTO, TEXT}
        then = Record(source, label=label, gold=gold).to_json()
        return Record(
            source=source,
            kind="text" if self._is_text else "photo",
            attributes={name: cell for name, cell in row.items() if name not in taken},
            label=label,
            gold=gold,
            carried={"format": FORMAT, "row": row, "then": then},
        )

    def _category(self, row: Mapping[str, str], column: str | None, found: Imported) -> str | None:
        if column is None or column not in row:
            return None
        key = self._reading.names.find(row[column])
        found.notes["unknown-category"] += key is None
        return key


class _OurTable:
    """A table that :func:`write` made."""

    def record(self, row: dict[str, str], _found: Imported) -> Record:
        """Return a row as a record.

        Raises
        ------
        strict_json.FaultyValueError
            If a cell is not what its column holds.
        """
        source, kind = row.get(PHOTO), "photo"
        if source is None:
            source, kind = row.get(TEXT), "text"
        if source is None:
            raise strict_json.FaultyValueError("no-source", "The row names no photo and no text.")
        try:
            return Record.from_json(
                {
                    "source": source,
                    "kind": kind,
                    "attributes": _attributes(row),
                    "answers": _value(row, ANSWERS) or [],
                    "label": _label(row),
                    "gold": row.get(GOLD),
                    "carried": _value(row, OURS),
                }
            )
        except ExchangeError as error:
            raise strict_json.FaultyValueError("cell", f"{error}.") from None


def _attributes(row: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for column in row:
        if column not in _RESERVED:
            name = column.removeprefix(ATTRIBUTE).removesuffix(JSON)
            if name in found:
                raise strict_json.FaultyValueError("double-key", f"Two cells of this row are named {name!r}.")
            found[name] = _value(row, column) if column.endswith(JSON) else row[column]
    return found


def _label(row: Mapping[str, str]) -> dict[str, Any] | None:
    confidence, human = row.get(CONFIDENCE), row.get(HUMAN, "yes")
    if CATEGORY not in row:
        if confidence is not None:
            raise strict_json.FaultyValueError("cell", f"There is a confidence, but nothing under {CATEGORY!r}.")
        return None
    try:
        number = None if confidence is None else float(confidence)
    except ValueError:
        number = -1.0
    if number is not None and not 0.0 <= number <= 1.0:
        raise strict_json.FaultyValueError("cell", f"{confidence:.40} is no confidence from 0 to 1.")
    if human not in ("yes", "no"):
        raise strict_json.FaultyValueError("cell", f"{human:.40}: yes or no is due under {HUMAN!r}.")
    return {"category": row[CATEGORY], "confidence": number, "human": human == "yes"}


def _value(row: Mapping[str, str], column: str) -> Any:
    if column not in row:
        return None
    try:
        return strict_json.loads(row[column], f"column {column!r}")
    except ExchangeError as error:
        raise strict_json.FaultyValueError("json", str(error)) from None


def _unchanged(record: Record) -> bool:
    if record.carried is None or record.carried.get("format") != FORMAT:
        return False
    then = Record.from_json(record.carried["then"])
    return (then.label, then.gold, then.answers) == (record.label, record.gold, record.answers)


def _values(record: Record) -> dict[str, Any]:
    """Return what a record says: by column where it is ours, by ``attribute:<name>`` where it is the item's own."""
    told: dict[str, Any] = {PHOTO if record.kind == "photo" else TEXT: record.source}
    if record.label is not None:
        told |= {CATEGORY: record.label.category, HUMAN: "yes" if record.label.human else "no"}
        if record.label.confidence is not None:
            told[CONFIDENCE] = repr(float(record.label.confidence))
    if record.gold is not None:
        told[GOLD] = record.gold
    if record.answers:
        told[ANSWERS] = [answer.to_json() for answer in record.answers]
    if record.carried is not None:
        told[OURS] = record.carried
    return told | {f"{ATTRIBUTE}{name}": value for name, value in record.attributes.items()}


def _header(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return (name, column) in order: ours that are in use, the items' own, and the one that marks our tables."""
    seen: dict[str, bool] = {}
    for row in rows:
        for name, value in row.items():
            as_json = not isinstance(value, str) or value == "" or not _is_text(value)
            seen[name] = seen.get(name, False) or as_json
    first = [(name, name) for name in _RESERVED if name in seen and name != OURS] or [(PHOTO, PHOTO)]
    own = []
    for name, as_json in seen.items():
        if name not in _RESERVED:
            plain = name.removeprefix(ATTRIBUTE)
            column = plain + JSON if as_json or plain.endswith(JSON) else plain
            taken = plain == "" or plain.startswith(ATTRIBUTE) or column in _RESERVED
            own.append((name, ATTRIBUTE + column if taken else column))
    return [*first, *own, (OURS, OURS)]


def _cell(row: Mapping[str, Any], name: str, column: str) -> str:
    value = row[name]
    return strict_json.dumps(value) if column.endswith(JSON) else str(value)


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ExchangeError(f"Half a surrogate pair in {text[:200]!r}: no CSV holds it ({error.reason}).") from None


def _is_formula(cell: str) -> bool:
    return _FORMULA.match(cell) is not None and _PLAIN_NUMBER.fullmatch(cell) is None


def _armed(cell: str) -> str:
    return f"'{cell}" if _is_formula(cell) else cell


def _disarmed(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell


def _row(cells: Sequence[str], delimiter: str = ",", *, quoted: bool = False) -> str:
    out = io.StringIO(newline="")
    csv.writer(
        out, delimiter=delimiter, lineterminator="\r\n", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    ).writerow(cells)
    return out.getvalue()


def _rows(text: str, delimiter: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line on which each row begins, and its cells; empty lines are none."""
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for cells in reader:
            if cells:
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        raise ExchangeError(f"{where}: no CSV at line {begins:,}: {error}.") from None


def _delimiter(text: str) -> str:
    """Return what divides the cells of the first row; a comma unless it has none and another stands there."""
    # A row ends where the csv module ends it: not at a form feed, nor at U+2028, as splitlines() would have it.
    first = re.split(r"[\r\n]", re.sub(r'"[^"]*"', "", text[:65_536]), maxsplit=1)[0]
    return "," if "," in first else max(",;\t", key=lambda mark: (first.count(mark), mark == ","))


def _decoded(data: bytes, encoding: str | None, where: str) -> str:
    if len(data) > MOST_BYTES:
        raise ExchangeError(f"{where}: {len(data):,} bytes; up to {MOST_BYTES:,} are read. Divide the file.")
    if encoding is None:
        encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except LookupError:
        raise ExchangeError(f"{where}: no encoding is named {encoding!r}; Excel's in Japan is cp932.") from None
    except UnicodeDecodeError as error:
        raise ExchangeError(
            f"{where}: byte {error.start:,} is no {encoding}; save it as UTF-8, or say the encoding "
            "(Excel's in Japan is cp932)."
        ) from None
