"""A long folder: pictures a second and memory, second by second, with the default template."""
import priority
import program
import watch
from rounds import Measured
from rows import row

# Seconds between two samples.
EVERY_S = 1.0


def inspect(good, work, args):
    """Inspects `args.folder` pictures, which are links to the good ones in turns. Rows have the second as x: the
    pictures that were finished in it, and the memory at its end."""
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
            rate = (now.lines - before.lines) / (now.seconds - before.seconds)
            yield row(round(now.seconds, 1), threads, "rate", Measured.of([rate]), "pictures/s", 0)
            yield row(round(now.seconds, 1), threads, "memory", Measured.of([now.resident / 1e6]), "MB", 0)
