#!/bin/sh
# Measure what a GPU is needed for, what matters most first: benchmarks/on_gpu.sh RESULTS, from the repository's root.
#
# PYTHON    ours, with torch for CUDA (python3)
# PEER      the Python that has faster-qwen3-tts; without it that peer is left out
# OMNIVOICE the Python that has the package omnivoice; without it that peer is left out
# VOXCPM    the Python that has the package voxcpm; without it that peer is left out
# BUDGET_S  seconds for everything (840)
# STEPS     only these, by name (all)

set -u
results=${1:?where results go}
python=${PYTHON:-python3}
until_s=$(($(date +%s) + ${BUDGET_S:-840}))
mkdir -p "$results"

# step NAME SECONDS COMMAND…: within its own time and what is left of all; its output goes to NAME.log, too.
# Interrupted first, so that pytest still says what failed, and killed if that does not help.
step() {
    name=$1 limit_s=$2
    shift 2
    case " ${STEPS:-$name} " in *" $name "*) ;; *) return ;; esac
    left_s=$((until_s - $(date +%s)))
    [ "$left_s" -lt "$limit_s" ] && limit_s=$left_s
    [ "$limit_s" -lt 20 ] && echo "$name: no time left" && return
    echo "== $name, at most $limit_s s"
    begun_s=$(date +%s)
    { PYTHONUNBUFFERED=1 timeout -s INT -k 10 "$limit_s" "$@" 2>&1 || echo "$name did not finish"; } | tee "$results/$name.log"
    echo "== $name took $(($(date +%s) - begun_s)) s"
}

# bench NAME SECONDS ARGUMENTS…: a command of `python -m benchmarks`, its figures in NAME.json.
bench() {
    name=$1 limit_s=$2
    shift 2
    step "$name" "$limit_s" "$python" -m benchmarks "$@" --device cuda --json "$results/$name.json" -v
}

step tests 120 "$python" -m pytest tests/gpu -vv --durations 5
peer=${PEER:+--peer faster-qwen3-tts=$PEER}
# shellcheck disable=SC2086  # no peer is no argument
bench tts_1.7b 240 tts --geometry 1.7b --graphs --streams 1 --streams 8 --streams 32 --streams 64 $peer
bench load_speech 180 load --mt-geometry none --graphs --least 32 --seconds 6
bench mt_speed 120 mt --parts speed --geometry 1.8b --batches 1 8
bench load_both 180 load --graphs --least 16 --seconds 6
# shellcheck disable=SC2086
bench tts_0.6b 180 tts --geometry 0.6b --graphs --streams 1 --streams 8 --streams 64 $peer
bench tts_1.7b_eager 60 tts --geometry 1.7b --rounds 1 --streams 1
# shellcheck disable=SC2086
bench tts_omnivoice 120 tts --engine omnivoice --geometry 0.6b --graphs --streams 1 --streams 8 --units 0 ${OMNIVOICE:+--peer omnivoice=$OMNIVOICE}
# shellcheck disable=SC2086
bench tts_voxcpm 180 tts --engine voxcpm --geometry 2b --streams 1 --streams 8 --units 0 ${VOXCPM:+--peer voxcpm=$VOXCPM}
step report 60 "$python" -m benchmarks report "$results"
