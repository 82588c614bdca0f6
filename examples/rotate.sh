#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The commands of docs/sinks.md, rotate, in an empty directory.
set -euo pipefail
annals log audit.jsonl web denied --dest 203.0.113.7:443

annals rotate audit.jsonl

ls audit-000001-*.jsonl
[ ! -s audit.jsonl ]
