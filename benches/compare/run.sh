#!/usr/bin/env bash
# This program beside NumPy, PyTorch, scikit-learn, ONNX Runtime, OpenVINO and anomalib's PatchCore and PaDiM, on this
# machine.
#
#   benches/compare/run.sh [DATA ..] [--out FILE.md] [--only matching,selection,backbone,patchcore,peers] ..
#   benches/compare/run.sh DATA/mvtec_bottle DATA/mtd --only peers
#
# DATA is a data set in MVTec layout, with good pictures in train/good; without any, the demo's parts are used. HETMM
# names another program than target/release/hetmm. --help has the other options. The first run makes a Python
# environment (see benches/common/venv.sh).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=benches/common/venv.sh
source "$here/../common/venv.sh"
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$here/../common" PYTHONWARNINGS=ignore
case " $* " in *" -h "* | *" --help "*) exec "${PYTHON:-python3}" "$here/compare.py" --help ;; esac
python=$(venv compare "$here/requirements.txt")
# OpenBLAS chooses its kernels for this processor, as it does for a user.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
exec "$python" "$here/compare.py" "$@"
