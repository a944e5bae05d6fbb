"""Ways to clean a manifest, one a process: ``python _cleaning_peers.py PEER MANIFEST FOLDER``.

All that can, do the whole task: keep lines whose label and class-name agree and whose category trains, each photo once
and no photo whose labels differ, split by restaurant, and write the kept lines as they came. Python peers keep a
dictionary of photos in memory and read twice, as the task demands. Prints JSON: lines kept, and seconds.
"""

# ruff: noqa: PLC0415, ARG001 (each process imports one peer; all peers are called alike)

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

CATEGORIES = ["meal", "sweets", "drink", "fruit", "vegetable", "not-for-training"]
ATTRIBUTE, METADATA, PREFIX = "menu-category", "menu-category-metadata", "s3://menu-photos/photos/"
BORDER = round(0.2 * 2**32)


def read_only(manifest: str, folder: str) -> int:
    lines = 0
    with Path(manifest).open("rb") as file:
        while block := file.read(1 << 19):
            lines += block.count(b"\n")
    return lines


def _loop(manifest: str, folder: str, fields: Callable[[bytes], tuple[str, int | str, str] | None]) -> int:
    """Do the task with a parser that gives photo, label and class-name of a line."""
    photos: dict[str, int] = {}
    firsts: list[str | None] = []
    with Path(manifest).open("rb") as file:
        for line in file:
            found = fields(line)
            firsts.append(None)
            if found is None or not found[0].startswith(PREFIX):
                continue
            source, label, name = found
            label = int(label)
            if not 0 <= label < len(CATEGORIES) or CATEGORIES[label] != name:
                continue
            if source not in photos:
                photos[source] = label
                firsts[-1] = source
            elif photos[source] != label:
                photos[source] = -1
    kept = 0
    with (
        Path(manifest).open("rb") as file,
        Path(folder, "train").open("wb") as train,
        Path(folder, "eval").open("wb") as held,
    ):
        for line, first in zip(file, firsts, strict=True):
            if first is not None and 0 <= photos[first] < 5:
                restaurant = first.split("/", 5)[4]
                (held if crc32(restaurant.encode()) < BORDER else train).write(line)
                kept += 1
    return kept


def stdlib_json(manifest: str, folder: str) -> int:
    return _with_loads(manifest, folder, json.loads)


def orjson(manifest: str, folder: str) -> int:
    import orjson as package

    return _with_loads(manifest, folder, package.loads)


def _with_loads(manifest: str, folder: str, loads: Callable[[bytes], Any]) -> int:
    def fields(line: bytes) -> tuple[str, int | str, str] | None:
        try:
            value = loads(line)
            return value["source-ref"], value[ATTRIBUTE], value[METADATA]["class-name"]
        except (ValueError, KeyError, TypeError):
            return None

    return _loop(manifest, folder, fields)


def msgspec(manifest: str, folder: str) -> int:
    import msgspec as package

    inner = package.defstruct("Metadata", [("name", str, package.field(name="class-name"))])
    line_type = package.defstruct(
        "Line",
        [
            ("source", str, package.field(name="source-ref")),
            ("label", int | str, package.field(name=ATTRIBUTE)),
            ("metadata", inner, package.field(name=METADATA)),
        ],
    )
    decode = package.json.Decoder(line_type).decode

    def fields(line: bytes) -> tuple[str, int | str, str] | None:
        try:
            value = decode(line)
        except (package.DecodeError, UnicodeDecodeError):
            return None
        return value.source, value.label, value.metadata.name

    return _loop(manifest, folder, fields)


def polars(manifest: str, folder: str) -> int:
    import polars as pl

    text = pl.col("line")
    meta = f"$.['{METADATA}']"
    frame = (
        pl.scan_csv(manifest, has_header=False, new_columns=["line"], separator="\x01", quote_char=None)
        .with_row_index("row")
        .with_columns(
            source=text.str.json_path_match("$.['source-ref']"),
            label=text.str.json_path_match(f"$.['{ATTRIBUTE}']"),
            name=text.str.json_path_match(f"{meta}.['class-name']"),
        )
        .filter(pl.col("source").str.starts_with(PREFIX))
        .filter(
            pl.col("label").replace_strict({str(i): n for i, n in enumerate(CATEGORIES)}, default=None)
            == pl.col("name")
        )
    )
    kept = (
        frame.with_columns(labels=pl.col("label").n_unique().over("source"))
        .filter((pl.col("labels") == 1) & (pl.col("label") != "5"))
        .unique("source", keep="first", maintain_order=True)
        .with_columns(held=pl.col("source").str.split("/").list.get(4).hash() < 2**64 // 5)
        .select("line", "held")
        .collect()
    )
    for side in (False, True):
        part = kept.filter(pl.col("held") == side).select("line")
        part.write_csv(Path(folder, str(side)), include_header=False, quote_style="never")
    return int(kept.height)


def polars_typed(manifest: str, folder: str) -> int:
    import polars as pl

    schema = {
        "source-ref": pl.String,
        ATTRIBUTE: pl.Int64,
        METADATA: pl.Struct({"class-name": pl.String}),
    }
    # The quickest that polars can read: typed JSON lines, and the text beside it to write the lines as they came.
    typed = pl.read_ndjson(manifest, schema=schema, ignore_errors=True)
    text = pl.read_csv(manifest, has_header=False, new_columns=["line"], separator="\x01", quote_char=None)
    names = dict(enumerate(CATEGORIES))
    kept = (
        pl.concat([typed, text], how="horizontal")
        .lazy()
        .rename({"source-ref": "source", ATTRIBUTE: "label"})
        .filter(pl.col("source").str.starts_with(PREFIX))
        .filter(pl.col("label").replace_strict(names, default=None) == pl.col(METADATA).struct.field("class-name"))
        .with_columns(labels=pl.col("label").n_unique().over("source"))
        .filter((pl.col("labels") == 1) & (pl.col("label") != 5))
        .unique("source", keep="first", maintain_order=True)
        .with_columns(held=pl.col("source").str.split("/").list.get(4).hash() < 2**64 // 5)
        .select("line", "held")
        .collect()
    )
    for side in (False, True):
        part = kept.filter(pl.col("held") == side).select("line")
        part.write_csv(Path(folder, str(side)), include_header=False, quote_style="never")
    return int(kept.height)


def duckdb(manifest: str, folder: str) -> int:
    import duckdb as package

    base = package.connect(config={"threads": 1, "preserve_insertion_order": True})
    names = "[" + ",".join(f"'{name}'" for name in CATEGORIES) + "]"
    base.execute(f"""
        create temp table kept as
        with lines as (
            select row_number() over () as row, line,
                   json_extract_string(line, ['source-ref', '{ATTRIBUTE}', '/{METADATA}/class-name']) as f
            from read_csv('{manifest}', header=false, columns={{'line': 'varchar'}}, delim='\x01', quote='', escape='',
                          parallel=false)
        ), good as (
            select row, line, f[1] as source, try_cast(f[2] as integer) as label from lines
            where starts_with(f[1], '{PREFIX}') and {names}[try_cast(f[2] as integer) + 1] = f[3]
        )
        select min(row) as row, arg_min(line, row) as line, source from good
        group by source having min(label) = max(label) and min(label) < 5
    """)
    for side, sign in (("train", ">="), ("eval", "<")):
        base.execute(f"""
            copy (select line from kept where hash(split_part(source, '/', 5)) {sign} {2**64 // 5} order by row)
            to '{folder}/{side}' (format csv, header false, delim '\x01', quote '', escape '')
        """)
    return int(base.execute("select count(*) from kept").fetchone()[0])


def ours(manifest: str, folder: str) -> int:
    from menulens.core.manifest import clean
    from menulens.core.rules import Category, CleaningRules
    from menulens.storage import Storage, is_s3

    storage = Storage()
    if is_s3(manifest):
        import boto3

        storage, folder = Storage(boto3.client("s3")), f"{manifest}-cleaned"
    categories = tuple(Category(key, key != "not-for-training") for key in CATEGORIES)
    rules = CleaningRules(ATTRIBUTE, categories, "menu-photos", "photos/", 0.2, 10, "^photos/([^/]+)/")
    return int(clean(manifest, rules, folder, store=storage).card["kept"])


PEERS = {
    "read only": read_only,
    "stdlib json": stdlib_json,
    "orjson": orjson,
    "msgspec": msgspec,
    "polars json_path": polars,
    "polars ndjson": polars_typed,
    "duckdb": duckdb,
    "menulens": ours,
}

if __name__ == "__main__":
    peer = PEERS[sys.argv[1]]
    started, processor = time.perf_counter(), time.process_time()
    count = peer(sys.argv[2], sys.argv[3])
    # Not ru_maxrss: that starts with what the process that started this one held.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(
        json.dumps(
            {
                "kept": count,
                "seconds": time.perf_counter() - started,
                "processor": time.process_time() - processor,
                "peak": int(peak.split()[1]) >> 10,
            }
        )
    )
