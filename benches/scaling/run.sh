#!/usr/bin/env bash
# What costs grow with: sheets, input size, channels, pictures to build from, and a long folder. One table a study,
# and two plots.
#
#   benches/scaling/run.sh DATA --out DIR [--only sheets,size,channels,pictures,memory,folder] ..
#
# DATA is one data set in MVTec layout, with good pictures in train/good. HETMM names another program than
# target/release/hetmm, TMPDIR a place for templates and features (6 GB). --help has the other options. The first run
# makes a Python environment (see benches/common/venv.sh). To draw again:
#
#   python benches/scaling/plot.py DIR
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=benches/common/venv.sh
source "$here/../common/venv.sh"
python=$(venv scaling "$here/requirements.txt")
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$here/../common"
exec "$python" "$here/measure.py" "$@"
