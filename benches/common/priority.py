"""What to put before a command, so that other programs on the machine disturb its times less. Needs util-linux."""
import os
import shutil
import sys


def require(tool):
    """Ends the script where `tool` is missing."""
    if not shutil.which(tool):
        sys.exit(f"error: {tool} is not there: it is part of util-linux")


def realtime(wanted):
    """Real-time priority, above that of all usual programs, if it is `wanted`."""
    if not wanted:
        return []
    require("chrt")
    return ["chrt", "-f", "5"]


def one_core():
    """One core for all threads of the command: the last one that this process may use."""
    require("taskset")
    return ["taskset", "-c", str(max(os.sched_getaffinity(0)))]


def add_option(parser):
    """The option `--realtime` of a script."""
    parser.add_argument("--realtime", action="store_true",
                        help="time with real-time priority, so that other programs disturb less. It needs the right "
                             "to do so, and others wait meanwhile")
