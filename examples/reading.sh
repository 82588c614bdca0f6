#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Reading, as docs/reading.md shows it.
set -euo pipefail

# what the examples read: a log, and files that another program rotated
printf '%s\n' '{"ts":"2026-11-15T12:00:00Z","container":"mail","action":"denied"}' | annals log audit.jsonl --jsonl
annals log audit.jsonl web denied --dest 203.0.113.7:443
annals log audit.jsonl web allowed --dest cdn.example
cp audit.jsonl audit.jsonl.1
cp audit.jsonl audit.jsonl-20261101
gzip -k audit.jsonl && mv audit.jsonl.gz audit.jsonl.3.gz

# who talked to 203.0.113.7 since yesterday?
annals query audit.jsonl --since yesterday --address 203.0.113.7
# how many were denied in the last three hours?
annals query audit.jsonl --since -3h --action denied --output count
# a day in November, for a spreadsheet
annals query audit.jsonl --since 2026-11-01 --until 2026-11-30 --output csv > november.csv
# a text anywhere, with two processor cores
annals query audit.jsonl --contains cdn.example --threads 2

annals cat audit.jsonl | jq -r .dest | sort | uniq -c

annals query audit.jsonl.1 audit.jsonl-20261101 --address 203.0.113.7

gzip -dc audit.jsonl.3.gz | zstd -q -o audit.jsonl.3.zst
annals tail audit.jsonl.3.zst

annals query audit.jsonl.3.zst --output count | grep -qx 3
annals query audit.jsonl --since -3h --action denied --output count | grep -qx 1
grep -q '^ts,container,action,dest,detail,fields' november.csv
