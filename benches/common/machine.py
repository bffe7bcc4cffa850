"""What the figures of a run hang on: the machine and what else it is doing."""
import os
import platform
import subprocess


def cpu():
    """Model of the processor."""
    commands = {"Linux": ["lscpu"], "Darwin": ["sysctl", "machdep.cpu.brand_string"]}
    try:
        lines = subprocess.run(commands[platform.system()], capture_output=True, text=True).stdout.splitlines()
    except (KeyError, OSError):
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines
             if line.startswith(("Model name:", "machdep.cpu.brand_string:"))]
    return named[0] if named else platform.processor() or platform.machine()


def cores():
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def load():
    """Load averages of the last 1, 5 and 15 minutes."""
    return ", ".join(f"{value:.2f}" for value in os.getloadavg())


def describe():
    """One line."""
    return f"{cpu()}, {platform.machine()}, {cores()} cores, {platform.system()} {platform.release()}"
