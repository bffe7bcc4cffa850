#!/usr/bin/env bash
# Builds the fuzz targets once and runs them, one after the other. One line for each target says what came of it.
#
# usage: fuzz/run.sh [--seconds N | --runs N] [--jobs N] [--folder FOLDER] [--built] [TARGET...]
#
#   TARGET           all targets, if none is named; `fuzz/run.sh list` lists them
#   --seconds N      how long each target runs [10]
#   --runs N         how many inputs each target gets, in place of a time
#   --jobs N         how many targets run at once [1]
#   --folder FOLDER  where the inputs and findings are kept [`fuzz` in the target folder]; a second run goes on from there
#   --built          does not build
#
# An input that ends a target lies in FOLDER/findings/TARGET. `fuzz/run.sh --repeat FILE TARGET` runs it alone.
# It needs libFuzzer: Debian's package libclang-rt-14-dev or a newer one, or an archive that LIBFUZZER names. The stable
# compiler is enough.
set -euo pipefail
cd "$(dirname "$0")"
usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; }
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../target}
FOLDER=$CARGO_TARGET_DIR/fuzz LIMIT=-max_total_time=10 JOBS=1 BUILT=no REPEAT='' TARGETS=()
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) LIMIT=-max_total_time=$2 && shift ;;
    --runs) LIMIT=-runs=$2 && shift ;;
    --jobs) JOBS=$2 && shift ;;
    --folder) FOLDER=$2 && shift ;;
    --repeat) REPEAT=$2 && shift ;;
    --built) BUILT=yes ;;
    -h | --help) usage && exit ;;
    -*) echo "ERROR: unknown option $1; see fuzz/run.sh --help" >&2 && exit 2 ;;
    *) TARGETS+=("$1") ;;
    esac
    shift
done

PROGRAM=$CARGO_TARGET_DIR/release/hetmm-fuzz
# Dependencies have the versions that the programs have.
cp ../Cargo.lock Cargo.lock
[ $BUILT = yes ] || RUSTC_WRAPPER=$PWD/rustc.sh cargo build --quiet --release
ALL=$(HETMM_FUZZ_TARGET=list "$PROGRAM")
[ "${TARGETS[*]:-}" != list ] || { cut -d' ' -f1 <<<"$ALL" && exit; }
[ ${#TARGETS[@]} -gt 0 ] || mapfile -t TARGETS < <(cut -d' ' -f1 <<<"$ALL")
mkdir -p "$FOLDER"
[ -z "$REPEAT" ] || { HETMM_FUZZ_TARGET=${TARGETS[0]} RUST_BACKTRACE=1 exec "$PROGRAM" "$REPEAT"; }

# Runs one target and says what came of it. Fails if there is a finding.
run_target() {
    local target=$1 inputs=$FOLDER/inputs/$1 findings=$FOLDER/findings/$1 log=$FOLDER/$1.log longest
    longest=$(awk -v name="$target" '$1 == name { print $2 }' <<<"$ALL")
    [ -n "$longest" ] || { echo "ERROR: there is no target $target; see fuzz/run.sh list" >&2 && return 2; }
    if [ ! -d "$inputs" ]; then
        mkdir -p "$inputs"
        HETMM_FUZZ_TARGET=$target HETMM_FUZZ_SEEDS=$inputs "$PROGRAM" >"$log" 2>&1
    fi
    mkdir -p "$findings"
    local status=0
    HETMM_FUZZ_TARGET=$target RUST_BACKTRACE=1 "$PROGRAM" "$inputs" "$LIMIT" -max_len="$longest" \
        -timeout=30 -rss_limit_mb=4096 -print_final_stats=1 -reload=0 \
        -artifact_prefix="$findings/" >"$log" 2>&1 || status=$?
    rm -rf /dev/shm/hetmm-fuzz-"$target"-*/
    local number='s/.*stat::%s: *//p'
    # shellcheck disable=SC2059
    stat() { sed -n "$(printf "$number" "$1")" "$log" | tail -n 1; }
    printf '%-10s %12s runs %8s a second %7s edges %6s inputs %3s findings %2s contained\n' "$target" \
        "$(stat number_of_executed_units)" "$(stat average_exec_per_sec)" \
        "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)" \
        "$(find "$inputs" -type f | wc -l)" \
        "$(find "$findings" -type f ! -name 'slow-unit-*' | wc -l)" "$(grep -c '^CONTAINED' "$log" || true)"
    [ $status = 0 ] || { echo "FOUND in $target: see $log" && return 1; }
}

FAILED=0
RUNNING=()
for target in "${TARGETS[@]}"; do
    run_target "$target" &
    RUNNING+=($!)
    if [ ${#RUNNING[@]} -ge "$JOBS" ]; then
        wait "${RUNNING[0]}" || FAILED=1
        RUNNING=("${RUNNING[@]:1}")
    fi
done
for job in "${RUNNING[@]}"; do wait "$job" || FAILED=1; done
exit $FAILED
