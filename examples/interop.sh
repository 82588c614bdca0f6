#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The tools that read a log without us, as docs/interop.md shows them: interop.sh PLUGIN LNAV-FORMAT PYTHON
set -euo pipefail
plugin=$1
PATH=$(dirname "$3"):$PATH
export HOME=$PWD TERM=dumb PATH
mkdir -p .lnav/formats/annals
cp "$2" .lnav/formats/annals/annals.json

printf '{"ts":"2026-11-23T09:00:%02dZ","container":"web","action":"denied","dest":"203.0.113.7:443"}\n' 1 2 3 | annals log audit.jsonl --jsonl
annals rotate audit.jsonl
sleep 1.1
annals archive audit.jsonl --plugin "$plugin"
printf '{"ts":"2026-11-24T09:00:%02dZ","container":"db","action":"allowed","dest":"cdn.example"}\n' 1 2 | annals log audit.jsonl --jsonl
annals rotate audit.jsonl
annals log audit.jsonl web allowed

zstd -t audit-*.jsonl.zst
zstdcat audit-*.jsonl.zst | jq -r 'select(.action == "denied") | .dest'
zstdgrep '"dest":"203.0.113.7:443"' audit-*.jsonl.zst

python - <<'PYTHON'
import io, json, zstandard

with open("audit-000001-20261123T090001Z.jsonl.zst", "rb") as file:
    lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True), encoding="ascii")
    print([json.loads(line)["dest"] for line in lines])
PYTHON

python - <<'PYTHON'
import duckdb

print(duckdb.sql("""
    SELECT container, action, count(*) AS events
    FROM read_json(['audit-*.jsonl.zst', 'audit-*.jsonl', 'audit.jsonl'], format = 'newline_delimited', union_by_name = true)
    GROUP BY ALL ORDER BY ALL
"""))
PYTHON

lnav -n audit.jsonl audit-*.jsonl audit-*.jsonl.zst
lnav -n -c ';SELECT container, count(*) FROM annals_log GROUP BY container' audit.jsonl
