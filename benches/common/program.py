"""Runs hetmm as a user does and reads what it reports."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def path():
    """The program: $HETMM, or the release build of this checkout. Ends the script where there is none."""
    program = Path(os.environ.get("HETMM", ROOT / "target/release/hetmm"))
    if not (program.is_file() and os.access(program, os.X_OK)):
        sys.exit(f"error: there is no program {program}: run 'cargo build --release', or name the program in HETMM")
    return program


def run(*arguments, prefix=()):
    """Output and messages of one call, with `prefix` before it. Ends the script, with the program's own words, where
    it fails."""
    done = subprocess.run([*prefix, path(), *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: hetmm {arguments[0]} failed with code {done.returncode}: {done.stderr.strip()}")
    return done.stdout, done.stderr


# What a build says of its times, by stage.
TIMES = re.compile(r"^The build took ([\d.]+) s for features, ([\d.]+) s for turned copies, ([\d.]+) s for the "
                   r"selection, ([\d.]+) s for leave-one-out scores, ([\d.]+) s for folds and ([\d.]+) s for the audit",
                   re.M)
STAGES = ("features", "turned copies", "selection", "leave-one-out", "folds", "audit")


def build(pictures, template, *options, threads=None):
    """Builds a template; seconds by stage."""
    more = ["--threads", threads] if threads else []
    _, messages = run("build", *pictures, "-o", template, *options, *more)
    return build_times(messages)


def build_times(messages):
    """Seconds by stage, from what a build says on stderr."""
    found = TIMES.search(messages)
    if not found:
        sys.exit(f"error: {path()} build does not report its times: it is another version than this script")
    return dict(zip(STAGES, map(float, found.groups())))


def bench(template, threads, runs, prefix=()):
    """What `hetmm bench --json` says; times are milliseconds a picture. `prefix` stands before the command."""
    return json.loads(run("bench", template, "--threads", threads, "--runs", runs, "--json", prefix=prefix)[0])


def info(template):
    """What `hetmm info --json` says."""
    return json.loads(run("info", template, "--json")[0])


def version():
    """Name and version of the program."""
    return run("--version")[0].strip()
