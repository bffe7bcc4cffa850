"""Interleaved measurement: A B A B .., so that what else the machine does falls on all alike."""
import statistics
import time
from dataclasses import dataclass

# Between two contenders, for worker threads that wait by spinning to fall asleep.
PAUSE_S = 0.3


@dataclass(frozen=True)
class Measured:
    """Median, least and largest of a figure over the rounds."""
    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values):
        """From the values of all rounds."""
        return cls(statistics.median(values), min(values), max(values))

    def scaled(self, factor):
        """In another unit."""
        return Measured(self.median * factor, self.least * factor, self.most * factor)


def in_turns(contenders, rounds):
    """Calls every function of `contenders` once a round; the results of all rounds, by the same key."""
    results = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            time.sleep(PAUSE_S)
            results[name].append(measure())
    return results


def interleave(contenders, rounds):
    """As `in_turns`, for functions that give one figure each: `Measured` by key."""
    return {name: Measured.of(values) for name, values in in_turns(contenders, rounds).items()}


def milliseconds(function, at_least=3, seconds=1.0):
    """Median time of a call of `function`, after one that warms up."""
    function()
    times = []
    while len(times) < at_least or sum(times) < seconds:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)
