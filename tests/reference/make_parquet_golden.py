"""Writes tests/golden/parquet: the same texts in every encoding, codec and page version that pyarrow knows, pages checksummed.

    pip install pyarrow==26.0.1
    python tests/reference/make_parquet_golden.py tests/golden/parquet
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

TEXTS = [None if i % 7 == 3 else "" if i % 11 == 5 else f"text {i % 17} of the Union, {'strong ' * (i % 5)}ü🌍" for i in range(60)]
OTHERS = pa.array([[{"role": "user", "content": text or "none"}] for text in TEXTS])
table = pa.table({"id": range(60), "text": pa.array(TEXTS, pa.string()), "messages": OTHERS})

FILES = {
    "plain_none_v1": dict(compression="NONE", use_dictionary=False),
    "dictionary_snappy_v1": dict(compression="SNAPPY"),
    "dictionary_zstd_v2": dict(compression="ZSTD", data_page_version="2.0"),
    "plain_gzip_v2": dict(compression="GZIP", use_dictionary=False, data_page_version="2.0"),
    "lengths_brotli_v1": dict(compression="BROTLI", use_dictionary=False, column_encoding={"text": "DELTA_LENGTH_BYTE_ARRAY"}),
    "fronts_lz4_v2": dict(
        compression="LZ4", use_dictionary=False, data_page_version="2.0", column_encoding={"text": "DELTA_BYTE_ARRAY"}
    ),
}
# Two groups of rows, the first of several pages, with an index of pages and without.
out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
for i, (name, options) in enumerate(FILES.items()):
    pq.write_table(
        table,
        out / f"{name}.parquet",
        row_group_size=40,
        data_page_size=400,
        write_batch_size=8,
        write_page_checksum=True,
        write_page_index=i % 2 == 0,
        write_statistics=False,
        store_schema=False,
        **options,
    )
