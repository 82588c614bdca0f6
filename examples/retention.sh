#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Keeping, holding and deleting segments, as docs/retention.md shows it.
set -euo pipefail

# what logrotate would leave
printf '{"ts":"2020-02-%02dT09:00:00Z","container":"web","action":"denied"}\n' 1 2 3 | annals log audit.jsonl.2 --jsonl
printf '{"ts":"2026-02-%02dT09:00:00Z","container":"web","action":"denied"}\n' 1 2 | annals log audit.jsonl.1 --jsonl
annals log audit.jsonl web denied --dest 203.0.113.7:443

annals adopt audit.jsonl audit.jsonl.2 audit.jsonl.1
annals adopt audit.jsonl audit.jsonl.2 audit.jsonl.1 --yes
test -e audit-000001-20200201T090000Z.jsonl
test -e audit-000002-20260201T090000Z.jsonl

annals segments audit.jsonl
annals segments audit.jsonl --output json | jq -r 'select(.state != "live") | .path'

annals hold add audit.jsonl case-17 --from 2020-01-01 --to 2020-03-31
annals hold list audit.jsonl
annals hold remove audit.jsonl case-17

annals hold add audit.jsonl case-17 --from 2020-01-01 --to 2020-03-31
if annals prune audit.jsonl --keep-segments 1 --yes; then exit 1; fi  # the hold keeps more than the limit allows
test -e audit-000001-20200201T090000Z.jsonl
annals hold remove audit.jsonl case-17

annals prune audit.jsonl --keep-for 7y --dry-run
annals prune audit.jsonl --keep-segments 1 --yes
test ! -e audit-000001-20200201T090000Z.jsonl
test -e audit-000002-20260201T090000Z.jsonl

jq -c 'select(.action == "segment_deleted") | [.dest, .segment, .events, .first, .last, .reason, .by, .program]' audit.jsonl
