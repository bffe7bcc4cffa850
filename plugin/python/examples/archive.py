"""Inspects many pictures with Ray, on one machine or many, and writes the results as Parquet files.

    python archive.py part.hetmm pictures/ results/ --workers 4

docs/archive.md explains it. Each file holds a fixed part of the sorted list of pictures, and appears whole or not at all.
So a second run does only what is missing, and the results do not depend on the workers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import hetmm

PICTURES = set("png jpg jpeg jpe jfif bmp tif tiff pnm pgm ppm pbm pam webp".split())
SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("verdict", pa.string()),
        ("score", pa.float32()),
        ("threshold", pa.float32()),
        ("regions", pa.string()),  # JSON, as in `hetmm inspect --json`
        ("error", pa.string()),  # why the picture could not be inspected; its verdict is "ng"
        ("template", pa.string()),  # BLAKE3 of the template's file
    ]
)


class Worker:
    """Inspects whole parts. Ray makes one for each process, and starts another one if the process dies."""

    def __init__(self, template: str, digest: str, results: str, threads: int) -> None:
        self.template = hetmm.Template(template)
        if self.template.digest != digest:
            raise RuntimeError(f"{template} is another file here than where the job was started")
        self.inspector = hetmm.Inspector(self.template, threads=threads)
        self.digest, self.results = digest, Path(results)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        for part, pictures in zip(batch["part"], batch["pictures"]):
            rows = [self.inspect(picture) for picture in json.loads(pictures)]
            write(pa.Table.from_pylist(rows, SCHEMA), self.results / part)
        return {"part": batch["part"]}

    def inspect(self, picture: str) -> dict[str, Any]:
        row = {"image": picture, "verdict": "ng", "threshold": self.template.threshold, "template": self.digest}
        try:
            found = self.inspector.inspect(picture).to_dict()
        except (hetmm.ImageError, hetmm.DeviceError) as error:
            return row | {"error": str(error)}
        except hetmm.ModelError as error:
            self.inspector.replace(self.template)  # raises if the feature extractor cannot be used any more
            return row | {"error": str(error)}
        return row | {
            "verdict": found["verdict"],
            "score": found["score"],
            "regions": json.dumps(found["regions"]),
        }


def write(table: pa.Table, path: Path) -> None:
    """Writes a file that appears whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}")
    pq.write_table(table, draft)
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)


def pictures_of(source: Path) -> list[str]:
    """The pictures of a folder with all its folders, or of a list with one path a line, as absolute paths."""
    if source.is_dir():
        found = (path for path in source.rglob("*") if path.suffix[1:].lower() in PICTURES)
        pictures = [os.path.abspath(path) for path in found if not path.name.startswith(".")]
    else:
        lines = source.read_text("utf-8", "surrogateescape").splitlines()
        pictures = [os.path.abspath(line) for line in lines if line.strip()]
    if not pictures:
        sys.exit(f"{source}: no pictures\n  -> give a folder of pictures, or a file with one path a line")
    if len(set(pictures)) < len(pictures):
        sys.exit(f"{source}: a picture is listed twice\n  -> list every picture once")
    for picture in pictures:
        try:
            picture.encode("utf-8")
        except UnicodeEncodeError:
            sys.exit(f"{picture!a}: the name is not UTF-8, as tables need it\n  -> rename the file")
    return sorted(pictures)


def agree(results: Path, job: dict[str, Any]) -> None:
    """Refuses a folder that holds the results of another job, so that no part is taken for one of this job."""
    path = results / "_job.json"
    results.mkdir(parents=True, exist_ok=True)
    if path.exists():
        if json.loads(path.read_text()) != job:
            sys.exit(f"{results}: it holds results of other pictures, of another template or of other parts\n"
                     "  -> choose another folder for the results")
    elif any(results.glob("*.parquet")):
        sys.exit(f"{results}: it holds tables, and no _job.json\n  -> choose another folder for the results")
    else:
        draft = path.with_name(f".job.{os.getpid()}")
        draft.write_text(json.dumps(job))
        draft.replace(path)


def inspect_all(args: argparse.Namespace, digest: str, missing: dict[str, list[str]]) -> None:
    """Lets the workers do the parts that are missing."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if args.address is None:
        # Ray reads these when it is imported. With the first one it listens on the loopback address only. The token
        # keeps other users of this machine out.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
    import ray

    if args.address is None:
        ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING,
                 num_cpus=args.workers * args.threads + 1, object_store_memory=100 << 20)
    else:
        ray.init(address=args.address, log_to_driver=False, logging_level=logging.WARNING)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    items = [{"part": part, "pictures": json.dumps(pictures)} for part, pictures in missing.items()]
    done = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        Worker,
        fn_constructor_args=(str(args.template.resolve()), digest, str(args.results.resolve()), args.threads),
        batch_size=1,
        num_cpus=args.threads,
        compute=ray.data.ActorPoolStrategy(size=args.workers),
    )
    for number, row in enumerate(done.iter_rows(), 1):
        print(f"{number} of {len(items)} parts: {row['part']}", flush=True)
    ray.shutdown()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("template", type=Path)
    parser.add_argument("pictures", type=Path, help="a folder, or a text file with one path a line")
    parser.add_argument("results", type=Path, help="the folder for the tables")
    parser.add_argument("--workers", type=int, default=2, help="processes on all machines together")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process")
    parser.add_argument("--part", type=int, default=256, help="pictures in a table")
    parser.add_argument("--address", help="the Ray cluster; without it, Ray is started on this machine only")
    args = parser.parse_args()
    if min(args.workers, args.threads, args.part) < 1:
        parser.error("--workers, --threads and --part must be at least 1")
    return args


def main() -> None:
    args = arguments()
    digest, pictures = hetmm.Template(args.template).digest, pictures_of(args.pictures)
    listed = hashlib.sha256("\n".join(pictures).encode()).hexdigest()
    agree(args.results, {"template": digest, "pictures": len(pictures), "list": listed, "part": args.part})
    parts = {f"part-{at // args.part:06}.parquet": pictures[at : at + args.part] for at in range(0, len(pictures), args.part)}
    missing = {part: pictures for part, pictures in parts.items() if not (args.results / part).exists()}
    print(f"{len(pictures)} pictures, {len(missing)} of {len(parts)} parts to do", flush=True)
    if missing:
        inspect_all(args, digest, missing)
    for draft in args.results.glob(".part-*"):
        draft.unlink()  # of workers that died
    table = pa.concat_tables(pq.read_table(args.results / part, columns=["verdict", "error"]) for part in parts)
    if table.num_rows != len(pictures):
        sys.exit(f"{args.results}: {table.num_rows} results for {len(pictures)} pictures\n  -> remove the folder, and start again")
    verdicts = table["verdict"].to_pylist()
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ["ok", "review", "ng"])
    print(f"{counts}; {len(pictures) - table['error'].null_count} of them could not be inspected")


if __name__ == "__main__":
    main()
