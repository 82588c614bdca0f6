#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The configurations that the documentation shows are good, and do what it says.
# usage: check.sh DIRECTORY_OF_THIS_FILE
set -euo pipefail
for file in "$1"/*.json; do annals config check --no-load "$file"; done
cp "$1/annals.json" .

annals config check annals.json
annals log --config annals.json web denied --dest 203.0.113.7:443

annals tail audit.jsonl | grep -q '"dest":"203.0.113.7:443"'
