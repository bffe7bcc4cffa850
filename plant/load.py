#!/usr/bin/env python3
"""Measures what the production line and the plant's clients notice of load on hetmm-plant, side by side.

usage: load.py [--bin DIR] [--seconds N] [--rounds N] [--rate N] [--kinds LIST] [--demo FOLDER]
               [--restless SHARE] [--soak PROGRAM]

Three kinds of runs take turns, and the table has the median of the rounds:

  alone    hetmm-edge without hetmm-plant
  viewers  hetmm-plant, and four pages that show live pictures
  load     hetmm-plant, 100 HTTP clients (30 slow, 30 that stream events, 40 fast), 20 Modbus clients, a broker that talks
           garbage; hetmm-plant is killed again and again, and stopped once

Wrong passes are counted with an oracle: `hetmm inspect` has judged each picture before, and the score in the record of a
part says which picture it was. With --soak, a program that is built from tests/soak.rs takes the place of hetmm-edge. It
plays scripted parts, 2000 a second, and checks every record itself:

  cargo test --release --test soak --no-run

It needs Python's standard library only. Clients and hetmm-plant run with lower priority, because in a plant they have
another computer, and CPUWeight=10.
"""
import argparse, getpass, json, os, pathlib, re, shutil, signal, socket, statistics, struct, subprocess, sys, tempfile
import multiprocessing, threading, time

root = pathlib.Path(__file__).resolve().parent.parent
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--bin", default=os.path.join(os.environ.get("CARGO_TARGET_DIR", root / "target"), "release"))
parser.add_argument("--seconds", type=int, default=60, help="length of each run")
parser.add_argument("--rounds", type=int, default=1, help="how often the runs take turns")
parser.add_argument("--rate", type=float, default=10, help="parts a second; with --soak 2000, whatever this says")
parser.add_argument("--kill-every", type=int, default=20, help="seconds between two kills of hetmm-plant")
parser.add_argument("--restless", type=float, default=0.6,
                    help="the share of a run in which hetmm-plant is killed and stopped; in the rest its memory must stay the same")
parser.add_argument("--demo", help="what `hetmm demo` wrote, in place of making it")
parser.add_argument("--kinds", help="kinds of runs, with commas between them [default: all; with --soak alone,load]")
parser.add_argument("--soak", help="a program that is built from tests/soak.rs")
options = parser.parse_args()
programs = pathlib.Path(options.bin).resolve()
folder = pathlib.Path(tempfile.mkdtemp())
SOAK_RATE = 2000


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


web, metrics, modbus = free_port(), free_port(), free_port()
broker = socket.create_server(("127.0.0.1", 0))


def prepare():
    """Makes parts, their verdicts and the configuration. Returns the scores of the pictures that may pass."""
    if options.demo:
        (folder / "demo").symlink_to(pathlib.Path(options.demo).resolve())
    else:
        demo = [programs / "hetmm", "demo", "--quiet", "--out", folder / "demo"]
        subprocess.run(demo, check=True, stdout=subprocess.DEVNULL)
    pictures = folder / "pictures"
    pictures.mkdir()
    for kind in "good", "scratch":
        for number, file in enumerate(sorted((folder / "demo/parts/test" / kind).iterdir())[:6]):
            shutil.copy(file, pictures / f"{number:03}-{kind}.png")
    inspect = [programs / "hetmm", "inspect", "--json", folder / "demo/part.hetmm", pictures]
    lines = subprocess.run(inspect, capture_output=True, text=True).stdout.splitlines()
    judged = [json.loads(line) for line in lines]
    (folder / "line.toml").write_text(f"""
[template]
file = "demo/part.hetmm"
[trigger]
source = "free-run"
[camera]
source = "folder"
folder = "pictures"
frames_per_second = {options.rate}
[reject]
delay_us = 400000
pulse_width_us = 2000
alarm_after = 0
[outputs]
simulate = true
ng = {{ line = 1 }}
fault = {{ line = 2 }}
[records]
folder = "records"
[control]
socket = "edge.sock"
plant_user = "{getpass.getuser()}"
plant_may = ["status", "history", "lines", "drift"]
[feed]
socket = "feed.sock"
[modbus]
listen = "127.0.0.1:{modbus}"
max_connections = 32
[metrics]
listen = "127.0.0.1:{metrics}"
[mqtt]
broker = "mqtt://127.0.0.1:{broker.getsockname()[1]}"
# With room for more messages, the memory grows until all of it is used.
queue = 64
[web]
listen = "127.0.0.1:{web}"
users = "users.json"
anonymous_observer = true
""")
    return [record["score"] for record in judged if record["verdict"] == "ok"]


def start(name, niceness=0):
    log = open(folder / f"{name}.log", "a")
    command = ["nice", "-n", str(niceness), programs / name, "--config", folder / "line.toml"]
    return subprocess.Popen(command, stdout=log, stderr=log)


class Edge:
    """hetmm-edge with parts from a folder."""

    def __init__(self, passing):
        self.passing = passing
        shutil.rmtree(folder / "records", ignore_errors=True)
        self.process = start("hetmm-edge")
        end = time.time() + 60
        while self.status().get("state") != "ready":
            if time.time() > end:
                sys.exit("hetmm-edge does not become ready; see " + str(folder / "hetmm-edge.log"))
            time.sleep(0.1)

    def status(self):
        command = [programs / "hetmm-edge", "--config", folder / "line.toml", "status"]
        try:
            return json.loads(subprocess.run(command, capture_output=True).stdout)
        except ValueError:
            return {}

    def end(self):
        """Ends the line. Returns what it has measured, and when each part has left, on the monotonic clock."""
        end, found = time.time() + 30, {}
        while "counters" not in found and time.time() < end:
            found = self.status()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        figures = {"parts": found["counters"]["triggers"], "passed": found["counters"]["passed"]}
        for why in "late", "too_close", "missed":
            figures[f"rejected: {why}"] = found["counters"]["rejected_for"][why]
        for name, title in ("pulse_lateness", "pulse lateness"), ("inspection", "inspection"):
            for part in "p50", "p99", "p999", "max":
                figures[f"{title} {part} (us)"] = found["latency_us"][name][part]
        gates, wrong = {}, 0
        for file in sorted((folder / "records").glob("*.jsonl")):
            for line in file.read_text().splitlines():
                record = json.loads(line)
                if record["kind"] == "part":
                    gates[record["part"]] = record["gate_us"]
                    score = record["score"]
                    is_right = score is not None and any(abs(score - one) < 1e-3 for one in self.passing)
                    wrong += record["outcome"] == "passed" and not is_right
        figures["records"], figures["wrong passes"] = len(gates), wrong
        return figures, gates


class Soak:
    """The parts of tests/soak.rs."""

    def __init__(self, _):
        parts = str(options.seconds * SOAK_RATE)
        feed = str(folder / "feed.sock")
        environment = {**os.environ, "HETMM_SOAK_PARTS": parts, "HETMM_SOAK_FEED": feed, "HETMM_SOAK_RATE": str(SOAK_RATE)}
        self.process = subprocess.Popen([options.soak, "--nocapture"], env=environment, stdout=-1, stderr=-2, text=True)
        time.sleep(1)

    def end(self):
        said, _ = self.process.communicate(timeout=600)
        if self.process.returncode:
            sys.exit(f"the soak has failed:\n{said}")
        figures = {name: int(value) for name, value in re.findall(r"(\w+): (\d+)", re.search(r"Seen \{.*?\}", said)[0])}
        late = json.loads(re.search(r"pulses late by, us: (\{.*\})", said)[1])
        figures = {name.replace("wrongly_passed", "wrong passes"): value for name, value in figures.items()}
        return figures | {f"pulse lateness {part} (us)": late[part] for part in ("p50", "p99", "p999", "max")}, {}


class Plant:
    """hetmm-plant, which is killed again and again, and stopped once."""

    def __init__(self, is_restless):
        self.process, self.kills, self.memory = start("hetmm-plant", 10), 0, []
        self.begun, self.is_restless, self.was_stopped = time.time(), is_restless, False

    def look(self):
        """Comes once a second."""
        try:
            text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
            self.memory.append(int(text.split("VmRSS:")[1].split()[0]) / 1024)
        except (OSError, IndexError):
            pass
        passed, length = time.time() - self.begun, options.seconds * options.restless
        if not self.is_restless or passed > length:
            return
        if not self.was_stopped and passed > length / 2:
            self.was_stopped = True
            self.process.send_signal(signal.SIGSTOP)
            time.sleep(min(60, length / 4))
            self.process.send_signal(signal.SIGCONT)
        elif passed > options.kill_every * (self.kills + 1):
            self.process.kill()
            self.process.wait()
            self.process, self.kills = start("hetmm-plant", 10), self.kills + 1

    def end(self):
        if self.process.poll() is not None:
            sys.exit("hetmm-plant has ended by itself; see " + str(folder / "hetmm-plant.log"))
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        calm = self.memory[-int(len(self.memory) * (1 - options.restless)) :]
        sixth = max(1, len(calm) // 6)
        figures = {"plant: kills": self.kills, "plant: most memory (MiB)": max(self.memory)}
        for part in range(6):
            values = calm[part * sixth :][:sixth] or calm
            figures[f"plant: memory, sixth {part + 1} of the calm time (MiB)"] = statistics.median(values)
        return figures


def talks_garbage():
    while True:
        try:
            client, _ = broker.accept()
            client.sendall(bytes([0x20, 0xFF, 0xFF, 0xFF, 0x7F, 1, 2, 3]))
            client.close()
        except OSError:
            return


def connected(port, number):
    """Connects from an address of its own, because the limits hold for each address."""
    return socket.create_connection(("127.0.0.1", port), 5, (f"127.0.1.{number % 250 + 1}", 0))


def asked(number, path, hold=0.0):
    with connected(web, number) as client:
        client.settimeout(5)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = client.recv(4096)
        end = time.time() + hold
        while time.time() < end and client.recv(4096):
            pass
        return answer[9:12].decode() or "closed"


def slow(number):
    with connected(web, number) as client:
        client.settimeout(8)
        for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\nX:":
            client.sendall(bytes([byte]))
            time.sleep(0.2)
        return client.recv(16)[9:12].decode() or "closed"


def read_registers(master, first, count):
    master.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, first, count))
    answer = b""
    while len(answer) < 9 + 2 * count:
        more = master.recv(512)
        if not more:
            raise OSError("closed")
        answer += more
    return answer[9:]


def polls(number, times, pause=0.02):
    """Reads 64 registers, 50 times a second, and keeps how long each answer took."""
    with connected(modbus, number) as master:
        master.settimeout(5)
        master.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            begun = time.perf_counter()
            read_registers(master, 0, 64)
            times.append(1e3 * (time.perf_counter() - begun))
            time.sleep(pause)


def again(work, pause, counts):
    while True:
        try:
            word = work()
        except OSError:
            word = "no connection"
            time.sleep(0.2)
        counts[word] = counts.get(word, 0) + 1
        time.sleep(pause)


def hammer(end, answers):
    """The clients of the load, in a process of their own."""
    os.nice(19)
    times, counts = [], {}
    works = [(lambda n=n: asked(n, "/api/state"), 0.1, counts) for n in range(40)]
    works += [(lambda n=n: asked(n, "/api/events", 5), 0.1, counts) for n in range(40, 70)]
    works += [(lambda n=n: slow(n), 0.1, counts) for n in range(70, 100)]
    works += [(lambda n=n: polls(n, times), 0.5, {}) for n in range(100, 120)]
    for work in works:
        threading.Thread(target=again, args=work, daemon=True).start()
    end.wait()
    answers.put(("hammer", times, counts))


def views(end, answers):
    """Four pages, each with its stream of events, that fetch every picture they are told of."""
    os.nice(19)

    def page(number):
        with connected(web, number) as client:
            client.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            event = ""
            for line in client.makefile(encoding="utf-8"):
                if line.startswith("event: "):
                    event = line[7:].strip()
                elif line.startswith("data: ") and event == "preview":
                    asked(number, f"/api/preview.jpg?part={json.loads(line[6:])['part']}")

    for number in range(4):
        threading.Thread(target=again, args=(lambda n=number: page(n), 0.5, {}), daemon=True).start()
    end.wait()
    answers.put(("views", [], {}))


def watches(end, answers):
    """Notes when each part becomes visible by events and by Modbus, on the monotonic clock, in microseconds."""
    seen = {"events": {}, "modbus": {}}

    def now():
        return time.monotonic_ns() // 1000

    def by_events():
        with connected(web, 240) as client:
            client.settimeout(5)
            client.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for line in client.makefile(encoding="utf-8"):
                if line.startswith("data: ") and '"outcome"' in line:
                    seen["events"].setdefault(json.loads(line[6:]).get("part"), now())

    def by_modbus():
        with connected(modbus, 241) as master:
            master.settimeout(5)
            master.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                (part,) = struct.unpack(">Q", read_registers(master, 41, 4))
                seen["modbus"].setdefault(part, now())
                time.sleep(0.003)

    for work in by_events, by_modbus:
        threading.Thread(target=again, args=(work, 0.5, {}), daemon=True).start()
    end.wait()
    answers.put(("watch", seen, {}))


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def run(kind, passing):
    line = (Soak if options.soak else Edge)(passing)
    begun, plant, clients = time.time(), None, []
    end, answers = multiprocessing.Event(), multiprocessing.Queue()
    if kind != "alone":
        plant = Plant(kind == "load")
        time.sleep(2)
        works = [watches, views] if kind == "viewers" else [watches, hammer]
        clients = [multiprocessing.Process(target=work, args=(end, answers), daemon=True) for work in works]
        for client in clients:
            client.start()
    while time.time() - begun < options.seconds:
        time.sleep(1)
        if plant:
            plant.look()
    end.set()
    found = {name: (values, counts) for name, values, counts in (answers.get(timeout=60) for _ in clients)}
    plant_figures = plant.end() if plant else {}
    figures, gates = line.end()
    figures |= plant_figures
    if "watch" in found and gates:
        for how, at in found["watch"][0].items():
            # What a client that has just come sees first may be older.
            delays = [(seen - gates[part]) / 1e3 for part, seen in at.items() if part in gates and seen >= gates[part]]
            # Parts that left while hetmm-plant was away have waited for its return.
            in_time = [delay for delay in delays if delay < 1000]
            figures[f"visible by {how}, parts"] = len(in_time)
            figures[f"visible by {how} after more than 1 s"] = len(delays) - len(in_time)
            delays = in_time
            for name, share in ("p50", 0.5), ("p99", 0.99):
                figures[f"visible by {how} {name} (ms)"] = percentile(delays, share)
    if "hammer" in found:
        times, counts = found["hammer"]
        figures["Modbus answers"] = len(times)
        for name, share in ("p50", 0.5), ("p99", 0.99):
            figures[f"Modbus answer {name} (ms)"] = percentile(times, share)
        figures |= {f"HTTP: {word}": count for word, count in sorted(counts.items())}
    return figures


def main():
    passing = prepare()
    threading.Thread(target=talks_garbage, daemon=True).start()
    kinds = (options.kinds or ("alone,load" if options.soak else "alone,viewers,load")).split(",")
    found = {kind: [] for kind in kinds}
    for number in range(options.rounds):
        for kind in kinds:
            load = f"load of the machine {os.getloadavg()[0]:.1f}"
            print(f"{kind}, round {number + 1} of {options.rounds}; {load}", file=sys.stderr)
            found[kind].append(run(kind, passing))
    titles = dict.fromkeys(title for figures in found.values() for one in figures for title in one)
    print(f"{'':46}" + "".join(f"{kind:>14}" for kind in kinds))
    for title in titles:
        print(f"{title:46}", end="")
        for kind in kinds:
            values = [figures[title] for figures in found[kind] if title in figures]
            text = f"{statistics.median(values):.2f}".removesuffix(".00") if values else ""
            print(f"{text:>14}", end="")
        print()


try:
    main()
finally:
    shutil.rmtree(folder, ignore_errors=True)
