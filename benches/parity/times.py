"""Seconds of the feature pass by tract and by another engine, turn by turn, on the same cores.

    ORT_DYLIB_PATH=$(models/fetch_onnxruntime.sh) benches/parity/run.sh --times DATA/mvtec_bottle [--device cpu]

The pictures of train/good, from the files to the features file. *Processor* is the time that all threads
computed, which other programs on the machine disturb less than the time on the clock.
"""
import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import lists
import machine
import program
from rounds import Measured, in_turns


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a data set in MVTec layout")
    parser.add_argument("--device", default="cpu", help="the engine beside tract")
    parser.add_argument("--threads", type=lists.numbers, default=[1, 2], help="default: 1,2")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    good = args.data / "train/good"
    count = sum(1 for p in good.iterdir() if p.is_file())
    print(f"{program.version()}, {machine.describe()}, load {machine.load()}; {count} pictures, {args.rounds} rounds\n")
    print("| threads | engine | ms a picture, clock | processor | tract / engine, clock | processor |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as work:
        for threads in args.threads:
            devices = ("tract", args.device)
            passes = {d: lambda d=d: one_pass(good, Path(work) / "f.features", d, threads, count) for d in devices}
            for one in passes.values():
                one()
            measured = in_turns(passes, args.rounds)
            for device in devices:
                cells = [shown(Measured.of([pair[i] for pair in measured[device]])) for i in (0, 1)]
                ratios = ["", ""] if device == "tract" else [
                    f"{Measured.of([a[i] / b[i] for a, b in zip(measured['tract'], measured[device])]).median:.2f}"
                    for i in (0, 1)]
                print(f"| {threads} | {device} | {' | '.join(cells + ratios)} |", flush=True)
    print(f"\nload at the end {machine.load()}")


def one_pass(good, file, device, threads, count):
    """Milliseconds a picture on the clock and of processor time."""
    file.unlink(missing_ok=True)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    program.run("features", good, "-o", file, "--threads", threads, "--device", device)
    clock, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    os.sync()
    return 1e3 * clock / count, 1e3 * processor / count


def shown(measured):
    """Median, and least and largest."""
    return f"{measured.median:.1f} ({measured.least:.1f} to {measured.most:.1f})"


if __name__ == "__main__":
    main()
