#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The configurations of docs/sinks.md are good: the sinks themselves have read their options.
# usage: check.sh DIRECTORY_OF_THIS_FILE PLUGIN_DIRECTORY
set -euo pipefail
for file in "$1"/*.json; do
  jq --arg plugins "$2" '. + {plugin_directories: [$plugins]}' "$file" >annals.json
  annals config check annals.json
done

# One of them in use.
jq --arg plugins "$2" '. + {plugin_directories: [$plugins]}' "$1/stderr.json" >annals.json
annals log --config annals.json web denied --dest 203.0.113.7:443 2>printed
grep -q '^<5>{"ts":".*","container":"web","action":"denied","dest":"203.0.113.7:443"}$' printed
