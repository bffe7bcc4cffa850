#!/usr/bin/env python3
"""Hammers hetmm-plant, and measures what the production line and the other clients notice.

usage: load.py [--bin DIR] [--seconds N] [--rate N]

It runs hetmm-edge with parts from a folder twice: without hetmm-plant, and with hetmm-plant under load: 40 fast, 30 slow and
30 streaming HTTP clients, 20 Modbus clients, a broker that talks garbage, and hetmm-plant killed every 20 seconds. Then it
prints one table. It needs the demo's parts (`hetmm demo`) and Python's standard library.
"""
import argparse, getpass, json, os, pathlib, shutil, signal, socket, struct, subprocess, sys, tempfile, threading, time

root = pathlib.Path(__file__).resolve().parent.parent
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--bin", default=os.path.join(os.environ.get("CARGO_TARGET_DIR", root / "target"), "release"))
parser.add_argument("--seconds", type=int, default=60, help="length of each of the two runs")
parser.add_argument("--rate", type=float, default=10, help="parts a second")
options = parser.parse_args()
programs = pathlib.Path(options.bin).resolve()
folder = pathlib.Path(tempfile.mkdtemp())
broker = socket.create_server(("127.0.0.1", 0))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


web, metrics, modbus = free_port(), free_port(), free_port()


def prepare():
    subprocess.run([programs / "hetmm", "demo", "--quiet", "--out", folder / "demo"], check=True)
    pictures = folder / "pictures"
    pictures.mkdir()
    for kind in "good", "scratch":
        for number, file in enumerate(sorted((folder / "demo/parts/test" / kind).iterdir())[:6]):
            shutil.copy(file, pictures / f"{number:03}-{kind}.png")
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
[web]
listen = "127.0.0.1:{web}"
users = "users.json"
anonymous_observer = true
""")


def start(name):
    log = open(folder / f"{name}.log", "a")
    return subprocess.Popen([programs / name, "--config", folder / "line.toml"], stdout=log, stderr=log)


def status():
    asked = subprocess.run([programs / "hetmm-edge", "--config", folder / "line.toml", "status"], capture_output=True)
    return json.loads(asked.stdout)


def wait_until_ready():
    end = time.time() + 60
    while time.time() < end:
        try:
            if status()["state"] == "ready":
                return
        except ValueError:
            pass
        time.sleep(0.1)
    sys.exit("hetmm-edge does not become ready; see " + str(folder / "hetmm-edge.log"))


def talks_garbage():
    while True:
        try:
            client, _ = broker.accept()
            client.sendall(bytes([0x20, 0xFF, 0xFF, 0xFF, 0x7F, 1, 2, 3]))
            client.close()
        except OSError:
            return


class Client(threading.Thread):
    """Does something again and again until it is told to stop. Whatever fails is tried again."""

    def __init__(self, work, pause=0.0):
        super().__init__(daemon=True)
        self.work, self.pause, self.stopped, self.counts = work, pause, False, {}

    def run(self):
        while not self.stopped:
            try:
                word = self.work(self)
            except OSError:
                word = "no connection"
            self.counts[word] = self.counts.get(word, 0) + 1
            time.sleep(self.pause if word != "no connection" else 0.2)


def request(path, hold=0.0):
    def work(_):
        with socket.create_connection(("127.0.0.1", web), 5) as client:
            client.settimeout(5)
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = client.recv(4096)
            end = time.time() + hold
            while time.time() < end and client.recv(4096):
                pass
            return answer[9:12].decode() or "closed"

    return work


def slow(_):
    with socket.create_connection(("127.0.0.1", web), 5) as client:
        client.settimeout(8)
        for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\nX:":
            client.sendall(bytes([byte]))
            time.sleep(0.2)
        return client.recv(16)[9:12].decode() or "closed"


times = []


def polls(client):
    """Reads 64 registers, 50 times a second, and keeps how long each answer took."""
    with socket.create_connection(("127.0.0.1", modbus), 5) as master:
        master.settimeout(5)
        master.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not client.stopped:
            begun = time.perf_counter()
            master.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 0, 64))
            answer = b""
            while len(answer) < 9 + 128:
                more = master.recv(512)
                if not more:
                    return "closed"
                answer += more
            times.append(time.perf_counter() - begun)
            time.sleep(0.02)
    return "done"


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def run(is_loaded):
    edge = start("hetmm-edge")
    wait_until_ready()
    plant, clients = None, []
    if is_loaded:
        plant = start("hetmm-plant")
        time.sleep(2)
        clients = [Client(polls) for _ in range(20)]
        clients += [Client(request("/api/state"), 0.1) for _ in range(40)]
        clients += [Client(request("/api/events", 5)) for _ in range(30)] + [Client(slow) for _ in range(30)]
        for client in clients:
            client.start()
    begun, kills, memory = time.time(), 0, 0
    while time.time() - begun < options.seconds:
        time.sleep(1)
        if plant:
            try:
                text = pathlib.Path(f"/proc/{plant.pid}/status").read_text()
                memory = max(memory, int(text.split("VmRSS:")[1].split()[0]))
            except (OSError, IndexError):
                pass
            if time.time() - begun > 20 * (kills + 1) and kills < options.seconds // 20 - 1:
                plant.kill()
                plant.wait()
                plant, kills = start("hetmm-plant"), kills + 1
    found = status()
    for client in clients:
        client.stopped = True
    counts = {}
    for client in clients[20:]:
        for word, count in client.counts.items():
            counts[word] = counts.get(word, 0) + count
    if plant:
        plant.send_signal(signal.SIGTERM)
        plant.wait(10)
    edge.send_signal(signal.SIGTERM)
    edge.wait(20)
    return found, counts, kills, memory


def main():
    prepare()
    threading.Thread(target=talks_garbage, daemon=True).start()
    runs = [run(False), run(True)]
    print(f"{'':38}{'alone':>14}{'under load':>14}")
    rows = [("parts", "counters.triggers"), ("passed", "counters.passed"), ("late results", "counters.late_results")]
    rows += [(f"rejected: {why}", f"counters.rejected_for.{why}") for why in ("defect", "late", "too_close", "missed")]
    rows += [(f"pulse lateness {p} (us)", f"latency_us.pulse_lateness.{p}") for p in ("p50", "p99", "p999", "max")]
    rows += [(f"inspection {p} (us)", f"latency_us.inspection.{p}") for p in ("p50", "p99")]
    for title, path in rows:
        values = []
        for found, *_ in runs:
            for key in path.split("."):
                found = found[key]
            values.append(found)
        print(f"{title:38}{values[0]!s:>14}{values[1]!s:>14}")
    _, counts, kills, memory = runs[1]
    print(f"\nhetmm-plant was killed {kills} times; most memory {memory / 1024:.1f} MiB")
    print(f"Modbus, 20 clients: {len(times)} answers, p50 {percentile(times, .5) * 1e3:.2f} ms, p99 {percentile(times, .99) * 1e3:.2f} ms")
    print("HTTP, 100 clients: " + ", ".join(f"{word} {count}" for word, count in sorted(counts.items())))


try:
    main()
finally:
    shutil.rmtree(folder, ignore_errors=True)
