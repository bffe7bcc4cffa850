//! Sets up a production line at a desk, with both programs.

use serde_json::Value;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub const PLANT: &str = env!("CARGO_BIN_EXE_hetmm-plant");
/// The longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Returns a program of the project, which lies beside `hetmm-plant`.
pub fn program(name: &str) -> PathBuf {
    let path = Path::new(PLANT).with_file_name(name);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build --release --bins` first",
        path.display()
    );
    path
}

/// Makes the demo's parts and template once.
pub fn demo() -> &'static Path {
    static DEMO: OnceLock<tempfile::TempDir> = OnceLock::new();
    DEMO.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let made = Command::new(program("hetmm"))
            .args(["demo", "--quiet", "--out"])
            .arg(folder.path())
            .output()
            .expect("runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        folder
    })
    .path()
}

/// Returns pictures of the demo's test set that the template passes (true) or rejects.
pub fn pictures(passing: bool) -> &'static [PathBuf] {
    static ALL: OnceLock<[Vec<PathBuf>; 2]> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let mut all = [vec![], vec![]];
        for kind in ["good", "scratch"] {
            let folder = demo().join("parts/test").join(kind);
            let out = Command::new(program("hetmm"))
                .args(["inspect", "--json"])
                .args([demo().join("part.hetmm"), folder.clone()])
                .output()
                .expect("runs");
            for line in String::from_utf8(out.stdout).expect("text").lines() {
                let record: Value = serde_json::from_str(line).expect("JSON");
                let name = PathBuf::from(record["image"].as_str().expect("a name"));
                let file = folder.join(name.file_name().expect("a name"));
                all[usize::from(record["verdict"] != "ok")].push(file);
            }
        }
        all
    });
    &all[usize::from(!passing)]
}

/// Returns a port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.local_addr().expect("an address").port()
}

/// Holds the line and its programs.
pub struct Desk {
    folder: tempfile::TempDir,
    pub edge: Option<Child>,
    pub plant: Option<Child>,
    pub modbus: u16,
    pub metrics: u16,
    pub web: u16,
}

impl Desk {
    /// Makes a line whose parts come from a folder, four a second. `more` is appended to the configuration, in which
    /// MODBUS, METRICS and WEB stand for free ports.
    pub fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::copy(demo().join("part.hetmm"), at("part.hetmm")).expect("copies");
        std::fs::create_dir(at("pictures")).expect("makes");
        let chosen = pictures(true).iter().take(3).chain(pictures(false).iter().take(1));
        for (i, file) in chosen.enumerate() {
            std::fs::copy(file, at(&format!("pictures/{i}.png"))).expect("copies");
        }
        let [modbus, metrics, web] = [free_port(), free_port(), free_port()];
        let user =
            nix::unistd::User::from_uid(nix::unistd::geteuid()).expect("reads").expect("a user");
        let text = format!("{CONFIG}{more}")
            .replace("MODBUS", &format!("127.0.0.1:{modbus}"))
            .replace("METRICS", &format!("127.0.0.1:{metrics}"))
            .replace("WEB", &format!("127.0.0.1:{web}"))
            .replace("USER", &user.name);
        std::fs::write(at("line.toml"), text).expect("writes");
        Desk { folder, edge: None, plant: None, modbus, metrics, web }
    }

    /// Changes a line of the configuration, before the start.
    pub fn change(&self, from: &str, to: &str) {
        let file = self.path("line.toml");
        let text = std::fs::read_to_string(&file).expect("reads");
        assert!(text.contains(from), "{from} stands in the configuration");
        std::fs::write(&file, text.replace(from, to)).expect("writes");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts both programs, and waits until parts pass and everything listens.
    pub fn start(&mut self) {
        self.start_edge();
        self.wait("the first part that passes", |desk| {
            desk.status().is_some_and(|status| {
                status["state"] == "ready" && status["counters"]["passed"].as_u64() > Some(0)
            })
        });
        self.start_plant();
        self.wait("the feed", |desk| desk.log().contains("the feed is there"));
        let config = std::fs::read_to_string(self.path("line.toml")).expect("reads");
        for port in [self.modbus, self.metrics, self.web] {
            let is_used = config.contains(&format!("127.0.0.1:{port}"));
            let connects = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
            self.wait("a listener", |_| !is_used || connects());
        }
    }

    pub fn start_edge(&mut self) {
        self.edge = Some(self.spawn(&program("hetmm-edge"), "edge.log"));
    }

    pub fn start_plant(&mut self) {
        self.plant = Some(self.spawn(Path::new(PLANT), "plant.log"));
    }

    fn spawn(&self, program: &Path, log: &str) -> Child {
        let log =
            std::fs::File::options().create(true).append(true).open(self.path(log)).expect("a log");
        let mut command = Command::new(program);
        command.arg("--config").arg(self.path("line.toml")).stdin(Stdio::null()).stderr(log);
        command.stdout(Stdio::null()).spawn().expect("starts")
    }

    /// Runs a request of `hetmm-edge`, or a task of `hetmm-plant`.
    pub fn run(&self, program_name: &str, args: &[&str]) -> Output {
        let program =
            if program_name == "hetmm-plant" { PLANT.into() } else { program(program_name) };
        let mut command = Command::new(program);
        command.arg("--config").arg(self.path("line.toml")).args(args);
        command.output().expect("runs")
    }

    /// Returns the scores of those of its pictures that the template passes, as the workstation tool finds them.
    pub fn scores_that_pass(&self) -> Vec<f64> {
        let mut command = Command::new(program("hetmm"));
        command.args(["inspect", "--json"]);
        let out = command.args([self.path("part.hetmm"), self.path("pictures")]).output();
        let out = String::from_utf8(out.expect("runs").stdout).expect("text");
        let records = out.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        let passing = records.filter(|record: &Value| record["verdict"] == "ok");
        passing.map(|record| record["score"].as_f64().expect("a score")).collect()
    }

    /// Returns the state of the device.
    pub fn status(&self) -> Option<Value> {
        let out = self.run("hetmm-edge", &["status"]);
        serde_json::from_slice(&out.stdout)
            .ok()
            .filter(|status: &Value| status["state"].is_string())
    }

    /// Waits until something is so.
    pub fn wait(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < end, "{what} never came\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.path(name)).unwrap_or_default();
        format!("{}\n{}", read("edge.log"), read("plant.log"))
    }

    /// Kills a program.
    pub fn kill(child: &mut Option<Child>) {
        if let Some(mut child) = child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks a program to stop. Returns its exit code.
    pub fn stop(child: &mut Option<Child>) -> Option<i32> {
        let mut child = child.take()?;
        signal(&child, "TERM");
        child.wait().expect("ends").code()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        Self::kill(&mut self.plant);
        Self::kill(&mut self.edge);
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

/// Writes something, and waits for what a program says about it.
pub fn said_of(command: &mut Command, text: &[u8]) -> Output {
    let pipes = [Stdio::piped(), Stdio::piped(), Stdio::piped()];
    let [input, output, errors] = pipes;
    let mut child = command.stdin(input).stdout(output).stderr(errors).spawn().expect("starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    // A program that ends early is judged by what it says.
    let _ = pipe.write_all(text);
    drop(pipe);
    child.wait_with_output().expect("ends")
}

/// Returns whether a program is installed. Says on the last line of the run that a test is skipped without it.
pub fn is_installed(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let is_there = found.is_ok_and(|found| found.status.success());
    if !is_there {
        eprintln!("SKIPPED: {program} is not installed; what needs it was not tried");
    }
    is_there
}

const CONFIG: &str = r#"
[device]
name = "cam1"
[template]
file = "part.hetmm"
[trigger]
source = "free-run"
[camera]
source = "folder"
folder = "pictures"
frames_per_second = 4.0
[reject]
delay_us = 1000000
deadline_us = 900000
pulse_width_us = 20000
min_pitch_us = 20000
alarm_after = 0
[outputs]
simulate = true
ng = { line = 1 }
fault = { line = 2 }
ok = { line = 3 }
[records]
folder = "records"
sign = false
[archive]
folder = "archive"
min_free_mib = 0
[control]
socket = "edge.sock"
plant_user = "USER"
plant_may = ["status", "history", "lines", "slots", "drift", "safe", "acknowledge", "teach", "undo", "reload", "select", "login"]
[feed]
socket = "feed.sock"
"#;
