"""Ranks the test parts of `hetmm demo` and prints the AUROC: python auroc.py hetmm-demo/part.hetmm hetmm-demo/parts/test"""

import sys
from pathlib import Path

from sklearn.metrics import roc_auc_score

import hetmm

template, folder = sys.argv[1:]
inspector = hetmm.Inspector(template)
pictures = sorted(Path(folder).glob("*/*.png"))
is_defective = [picture.parent.name != "good" for picture in pictures]
results = [inspector.inspect(picture) for picture in pictures]
rejected = sum(result.verdict != "ok" for result in results)
print(f"{len(pictures)} pictures, {sum(is_defective)} defective, {rejected} stopped")
print(f"image AUROC {100 * roc_auc_score(is_defective, [result.score for result in results]):.2f} %")
