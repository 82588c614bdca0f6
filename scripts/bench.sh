#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev bench [NAME...]: measures against peers, interleaved, on real files.
. scripts/common.sh
need build bench
configure release -D ANNALS_BENCH=ON
compile release product benchmarks
cmake --install build/release --prefix build/install >build/release/install.log
say "bench: annals and its peers, interleaved, on real files"
status=0
python3 bench/run.py --binaries build/release/bench --annals build/install --output build/bench.json "$@" || status=$?
[ "$status" -le 1 ] || exit "$status"
# The picture needs all of the loads, which single rows do not measure.
if [ $# -eq 0 ] && python3 bench/plot.py build/bench.json build/bench.svg; then
  say "bench: drawn in build/bench.svg"
fi
exit "$status"
