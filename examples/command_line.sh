#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The command, as docs/command.md shows it.
set -euo pipefail

annals log audit.jsonl web denied --dest 203.0.113.7:443 --detail "not in allowlist" --field rule:=17
printf '%s\n' '{"container":"web","action":"allowed","dest":"cdn.example"}' | annals log audit.jsonl --jsonl

annals tail -n 20 audit.jsonl --output pretty
annals tail -n 20 audit.jsonl | jq -r 'select(.action == "denied") | .dest'

annals query audit.jsonl --since yesterday --address 203.0.113.0/24 --output count
annals cat audit.jsonl | jq -r .container | sort | uniq -c

# The same lines, read without annals.
jq -c . audit.jsonl
