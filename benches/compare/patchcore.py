"""A whole picture against PatchCore as anomalib runs it, with its default settings.

Both start from 8-bit samples as a camera gives them and end with the score; anomalib's own transform resizes.
WideResNet-50, layers 2 and 3, 9 neighbours, 256 x 256. The backbone's weights and the memory bank are random:
what a picture costs depends on sizes alone. The bank has as many vectors as a coreset of a tenth of the
vectors of `pictures` good pictures.
"""
import torch
from anomalib.models import Patchcore
from anomalib.models.image.patchcore.torch_model import PatchcoreModel
from threadpoolctl import threadpool_limits

import program
from rounds import interleave, milliseconds
from table import Row

SIZE = 256
CORESET = 0.1


def model(pictures):
    """PatchCore ready to inspect."""
    patchcore = PatchcoreModel(layers=("layer2", "layer3"), backbone="wide_resnet50_2", pre_trained=False)
    vectors = patchcore.train()(torch.zeros(1, 3, SIZE, SIZE))
    patchcore.embedding_store.clear()
    patchcore.memory_bank = torch.randn(int(CORESET * pictures * len(vectors)), vectors.shape[1])
    return patchcore.eval()


def compare(template, pictures, threads, rounds):
    """Rows for one picture of the size that `hetmm bench` takes."""
    with torch.inference_mode():
        torch.manual_seed(0)
        patchcore = model(pictures)
        transform = Patchcore.configure_pre_processor(image_size=(SIZE, SIZE)).transform
        width, height = program.bench(template, 1, 1)["picture"]
        picture = torch.randint(256, (1, 3, height, width), dtype=torch.uint8)
        for count in threads:
            torch.set_num_threads(count)
            with threadpool_limits(count):
                measured = interleave({
                    "ours": lambda: program.bench(template, count, 40)["stages"]["total"]["p50"],
                    "theirs": lambda: milliseconds(lambda: patchcore(transform(picture / 255))),
                }, rounds)
            yield Row(f"whole picture, {width} x {height}",
                      f"PatchCore, anomalib, {len(patchcore.memory_bank)} vectors", count,
                      measured["ours"], measured["theirs"], "ms")
