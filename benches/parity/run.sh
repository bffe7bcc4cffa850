#!/usr/bin/env bash
# One engine beside tract: feature vectors of every tap, scores, verdicts, from the pictures to the evaluation.
#
#   ORT_DYLIB_PATH=$(models/fetch_onnxruntime.sh) benches/parity/run.sh DATA [--device cuda] [--sets mtd,..] ..
#   benches/parity/run.sh DATA --good 12 --test 4 -- --backbone wrn101.onnx --preset paper
#   benches/parity/run.sh --times DATA/mvtec_bottle [--device cuda]       the time of the feature pass
#
# DATA holds one folder a set, in MVTec layout. What stands after -- goes to features and build. HETMM names
# another program than target/release/hetmm, TMPDIR a place for templates and features (2 GB). --help has the
# other options. The first run makes a Python environment (see benches/common/venv.sh).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=benches/common/venv.sh
source "$here/../common/venv.sh"
python=$(venv parity "$here/requirements.txt")
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$here/../common"
if [ "${1:-}" = --times ]; then
    shift
    exec "$python" "$here/times.py" "$@"
fi
exec "$python" "$here/parity.py" "$@"
