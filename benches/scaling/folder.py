"""A long folder: pictures a second, processor time and memory, second by second, with the default template.

Other programs on the machine disturb the processor time of a picture less than the pictures a second.
"""
import priority
import program
import watch
from rounds import Measured
from rows import row

# Seconds between two samples.
EVERY_S = 1.0


def inspect(good, work, args):
    """Inspects `args.folder` pictures, which are links to the good ones in turns. Rows have the second as x: the
    pictures that were finished in it, what all threads computed for each of them, and the memory at its end."""
    template, many = work / "built.hetmm", work / "many"
    program.build(good, template)
    many.mkdir()
    for i in range(args.folder):
        picture = good[i % len(good)]
        (many / f"{i:06}{picture.suffix}").symlink_to(picture.resolve())
    for threads in args.threads:
        # Code 1 says that parts were rejected.
        seen = watch.command(program.path(), "inspect", template, many, "--json", "--any-shape", "--threads", threads,
                             every=EVERY_S, accept=(0, 1), prefix=priority.realtime(args.realtime))
        if len(seen.lines) != args.folder:
            raise SystemExit(f"error: hetmm inspect gave {len(seen.lines)} results for {args.folder} pictures")
        for before, now in zip(seen.samples, seen.samples[1:]):
            done, second = now.lines - before.lines, round(now.seconds, 1)
            found = {("rate", "pictures/s"): done / (now.seconds - before.seconds),
                     ("memory", "MB"): now.resident / 1e6}
            if done > 0 and now.processor > 0:
                found["processor", "ms a picture"] = 1e3 * (now.processor - before.processor) / done
            for (stage, unit), value in found.items():
                yield row(second, threads, stage, Measured.of([value]), unit, 0)
