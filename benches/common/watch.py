"""Runs a program and watches it: its output line by line, and its memory. Needs Linux, where /proc tells."""
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

# Seconds between two looks at the memory, unless the caller asks for others.
EVERY_S = 0.05


@dataclass(frozen=True)
class Sample:
    """What a process had after so many seconds: bytes of memory, lines that it had printed, and the seconds that its
    threads had computed."""
    seconds: float
    # All of it, with pages of files that are mapped. The system can take those away when it needs room.
    resident: int
    # What is in no file and so has to stay.
    anonymous: int
    lines: int
    processor: float


@dataclass(frozen=True)
class Watched:
    """What a program did: lines of its output, its messages, seconds that it ran, and samples in order."""
    lines: list
    messages: str
    seconds: float
    samples: list
    # The largest memory of all, as the system keeps it for the process, in bytes. It counts mapped files.
    peak: int

    @property
    def peak_anonymous(self):
        """The largest memory in no file that a sample saw, in bytes."""
        return max((sample.anonymous for sample in self.samples), default=0)


def status(pid):
    """Sizes in bytes from the system's account of a process; empty where it has ended."""
    try:
        with open(f"/proc/{pid}/status") as file:
            pairs = [line.split() for line in file if line.startswith(("VmHWM:", "VmRSS:", "RssAnon:"))]
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {key.rstrip(":"): 1024 * int(kilobytes) for key, kilobytes, _ in pairs}


def processor_seconds(pid):
    """Seconds that all threads of a process have computed; 0 where it has ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            # The name of the program stands in brackets and may hold spaces.
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read(file, lines):
    """Puts the lines of `file` into `lines`, each as it comes."""
    for line in file:
        lines.append(line)


def command(*arguments, every=EVERY_S, prefix=(), accept=(0,)):
    """Runs `prefix` and `arguments` as one command to its end. Ends the script, with the program's own words,
    where its exit code is not in `accept`."""
    if not os.path.exists("/proc/self/status"):
        sys.exit("error: memory is measured on Linux only")
    start = time.perf_counter()
    process = subprocess.Popen([*prefix, *map(str, arguments)], text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    lines, messages = [], []
    readers = [threading.Thread(target=read, args=pair)
               for pair in ((process.stdout, lines), (process.stderr, messages))]
    for reader in readers:
        reader.start()
    samples, peak = [], 0
    while process.poll() is None:
        sizes = status(process.pid)
        if "VmRSS" in sizes:
            peak = max(peak, sizes["VmHWM"])
            samples.append(Sample(time.perf_counter() - start, sizes["VmRSS"], sizes["RssAnon"], len(lines),
                                  processor_seconds(process.pid)))
        time.sleep(max(0.0, every - (time.perf_counter() - start) % every))
    seconds = time.perf_counter() - start
    for reader in readers:
        reader.join()
    if process.returncode not in accept:
        sys.exit(f"error: {arguments[0]} failed with code {process.returncode}: {''.join(messages).strip()}")
    return Watched([line.rstrip("\n") for line in lines], "".join(messages), seconds, samples, peak)
