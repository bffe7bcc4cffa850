//! Tests power loss, a failing disk and a source that is cut short while a template is changed.
//!
//! These tests have a program of their own and run one after the other. They wait for every process that is traced, and
//! other tests start processes, too. `HETMM_POWER_CUTS` says how often power is lost in one folder of records [40].
#![cfg(all(feature = "desktop", target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]

mod common;

use common::{Bench, SMALL, TEMPLATE, assert_code, command, hetmm, text};
use nix::libc;
use std::sync::{Mutex, PoisonError};
use traced::Call;

/// The test that runs holds this lock.
static ALONE: Mutex<()> = Mutex::new(());

/// The calls that change files.
const CHANGES: [i64; 9] = [
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_ftruncate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlink,
];

/// Kills the program at every system call that changes files, as a power loss would. Whatever was done until then, the
/// template is the old or the new one, and works.
#[test]
fn killed_at_any_write_the_template_is_the_old_or_the_new_one() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let bench = Bench::new();
    let (good, path) = (bench.parts("good", 0..8), bench.path("part.hetmm"));
    let build = [&["build", text(&good), "-o", text(&path)], &SMALL[..], &TEMPLATE].concat();
    assert_code(&hetmm(&build), 0, "");
    let before = std::fs::read(&path).expect("reads");
    let part = bench.part("new/20.png", 20);
    let arguments = ["insert", text(&path), text(&part), "--capacity", "6", "--who", "Ada"];
    for (task, arguments) in [("insert", &arguments[..]), ("undo", &["undo", text(&path)])] {
        let (mut old, mut new) = (0, 0);
        for write in 0.. {
            assert!(write < 500, "the program never ends");
            let start = std::fs::read(&path).expect("reads");
            let mut changes = 0;
            let ended = traced::run(command(arguments), |_, call, _| {
                changes += usize::from(CHANGES.contains(&call));
                if changes > write { Call::Kill } else { Call::Go }
            });
            let now = std::fs::read(&path).expect("reads");
            let is_old = now == start;
            if is_old {
                old += 1
            } else {
                new += 1
            }
            assert_code(&hetmm(&["check", text(&path)]), 0, "");
            if task == "undo" && !is_old {
                assert_eq!(now, before);
            }
            if ended.0.is_some() || !is_old {
                break;
            }
        }
        assert!(old > 10 && new == 1, "{task}: {old} old, {new} new");
    }
}

/// Kills the writer of records at every system call that changes files, also while it recovers from an earlier power
/// loss. Whatever was done until then, the next start makes a chain of it that holds all earlier lines.
#[test]
#[cfg(feature = "edge")]
fn killed_at_any_write_the_chain_of_records_goes_on() {
    use hetmm::line::evidence::{Verified, verify};
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let program = std::env::current_exe().expect("a program");
    let program = program.ancestors().nth(2).expect("a folder").join("examples/chain_writer");
    let bench = Bench::new();
    let folder = bench.path("records");
    let writer = || {
        let mut command = std::process::Command::new(&program);
        command.arg(&folder).arg("5");
        command
    };
    let look = || -> Verified { verify(&folder, None, &mut |_| Ok(())).expect("reads") };
    assert!(writer().output().expect("runs").status.success());
    let segment = folder.join("evidence-000000000001.jsonl");
    let before = std::fs::read(&segment).expect("reads");
    let key = std::fs::read(folder.join("device.key")).expect("reads");
    let next = look().head.expect("a line").seq + 1;
    let mut kills = 0;
    for write in 0.. {
        assert!(write < 500, "the program never ends");
        // Power was lost in the middle of a line, and right after a segment was begun.
        std::fs::remove_dir_all(&folder).expect("removes");
        std::fs::create_dir(&folder).expect("makes");
        std::fs::write(folder.join("device.key"), &key).expect("writes");
        let owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(folder.join("device.key"), owner).expect("sets");
        std::fs::write(&segment, [&before[..], &before[..77]].concat()).expect("writes");
        std::fs::write(folder.join(format!("evidence-{next:012}.jsonl")), b"").expect("writes");
        let mut changes = 0;
        let (ended, _) = traced::run(writer(), |_, call, _| {
            changes += usize::from(CHANGES.contains(&call));
            if changes > write { Call::Kill } else { Call::Go }
        });
        let out = writer().output().expect("runs");
        assert!(out.status.success(), "{write}: {}", String::from_utf8_lossy(&out.stderr));
        let seen = look();
        assert_eq!(seen.bad, None, "killed at {write}");
        assert!(seen.parts >= 10 && seen.recovered >= 1, "killed at {write}: {seen:?}");
        assert!(std::fs::read(&segment).expect("reads").starts_with(&before));
        if ended.is_some() {
            break;
        }
        kills += 1;
    }
    assert!(kills > 15, "{kills}");
}

/// Loses power again and again in one folder, at any system call, also while the program recovers from the loss before.
/// Of what was written after the last sync, any part is lost. Whole lines that were on the disk stay, and every file with
/// torn bytes is named in the chain.
#[test]
#[cfg(feature = "edge")]
fn cut_again_and_again_the_chain_keeps_what_was_on_the_disk() {
    use hetmm::line::evidence::verify;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let cuts = std::env::var("HETMM_POWER_CUTS").ok();
    let cuts = cuts.map_or(40, |text| text.parse().expect("a number"));
    let program = std::env::current_exe().expect("a program");
    let program = program.ancestors().nth(2).expect("a folder").join("examples/chain_writer");
    let bench = Bench::new();
    let folder = bench.path("records");
    let segment = folder.join("evidence-000000000001.jsonl");
    let writer = || {
        let mut command = std::process::Command::new(&program);
        command.arg(&folder).arg("3");
        command
    };
    let read = || std::fs::read(&segment).unwrap_or_default();
    let mut numbers = 7u64;
    let mut below = |end: u64| {
        numbers =
            numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (numbers >> 33) % end.max(1)
    };
    let mut on_disk = Vec::new();
    let mut kills = 0;
    for cut in 0..cuts {
        let (last, mut changes) = (below(24), 0);
        let mut durable = read().len() as u64;
        let (ended, _) = traced::run(writer(), |process, call, argument| {
            changes += u64::from(CHANGES.contains(&call));
            if changes > last {
                return Call::Kill;
            }
            let file = format!("/proc/{process}/fd/{argument}");
            let is_sync = matches!(call, libc::SYS_fdatasync | libc::SYS_fsync);
            if is_sync && std::fs::read_link(&file).is_ok_and(|path| path == segment) {
                durable = std::fs::metadata(file).map_or(0, |file| file.len());
            }
            Call::Go
        });
        assert!(matches!(ended, None | Some(0)), "cut {cut}: {ended:?}");
        kills += u64::from(ended.is_none());
        let whole = read();
        assert!(whole.starts_with(&on_disk), "cut {cut}: a line that was on the disk is gone");
        let durable = durable.min(whole.len() as u64);
        let length = durable + below(whole.len() as u64 - durable + 1);
        if segment.exists() {
            let file = std::fs::File::options().write(true).open(&segment).expect("opens");
            file.set_len(length).expect("cuts");
        }
        let lines = whole[..length as usize].iter().rposition(|byte| *byte == b'\n');
        on_disk = whole[..lines.map_or(0, |at| at + 1)].to_vec();
    }
    assert!(writer().output().expect("runs").status.success());
    let mut named = vec![];
    let seen = verify(&folder, None, &mut |line| {
        let line: serde_json::Value = serde_json::from_slice(line.text).expect("JSON");
        let also = line["also_aside"].as_array().into_iter().flatten();
        named.extend(
            also.chain([&line["aside"]]).filter_map(|name| name.as_str()).map(String::from),
        );
        Ok(())
    });
    let seen = seen.expect("reads");
    assert_eq!(seen.bad, None);
    assert!(read().starts_with(&on_disk) && kills > cuts / 4, "{kills} kills");
    let entries = std::fs::read_dir(&folder).expect("reads").flatten();
    let torn = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let torn: Vec<String> = torn.filter(|name| name.starts_with("torn-")).collect();
    assert!(torn.iter().all(|name| named.contains(name)), "{torn:?}, named {named:?}");
    eprintln!("{cuts} cuts, {kills} of them kills; {seen:?}; {} files with torn bytes", torn.len());
}

/// By then the new file has its name. It would be wrong to say that nothing was inserted.
#[test]
fn a_folder_that_cannot_be_synced_is_an_error_that_says_what_is_in_place() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (errno, code) in [(libc::EIO, 5), (libc::EINVAL, 0), (libc::EOPNOTSUPP, 0)] {
        let bench = Bench::new();
        let (good, path) = (bench.parts("good", 0..8), bench.path("part.hetmm"));
        let build = [&["build", text(&good), "-o", text(&path)], &SMALL[..], &TEMPLATE].concat();
        assert_code(&hetmm(&build), 0, "");
        let part = bench.part("new/20.png", 20);
        let before = std::fs::read(&path).expect("reads");
        let insert = command(&["insert", text(&path), text(&part), "--capacity", "6"]);
        let mut failed = 0;
        let (ended, said) = traced::run(insert, |process, call, argument| {
            let file = format!("/proc/{process}/fd/{argument}");
            let is_folder = std::fs::metadata(file).is_ok_and(|metadata| metadata.is_dir());
            if call == libc::SYS_fsync && is_folder {
                failed += 1;
                return Call::Fail(errno);
            }
            Call::Go
        });
        assert_eq!((ended, failed), (Some(code), 1), "{said}");
        assert_eq!(
            said.contains("the new file is in place, but not proven safe"),
            code == 5,
            "{said}"
        );
        assert!(!said.contains("nothing was inserted"), "{said}");
        assert!(std::fs::read(&path).expect("reads") != before);
        assert_code(&hetmm(&["check", text(&path)]), 0, "");
        assert_code(&hetmm(&["undo", text(&path)]), 0, "the bytes are those from before");
    }
}

/// The source is cut as `cp` over it does while a copy of it is made.
#[test]
fn a_source_that_is_cut_short_meanwhile_does_no_harm_to_its_copy() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let bench = Bench::new();
    let (good, path) = (bench.parts("good", 0..8), bench.path("part.hetmm"));
    let build = [&["build", text(&good), "-o", text(&path)], &SMALL[..], &TEMPLATE].concat();
    assert_code(&hetmm(&build), 0, "");
    let whole = std::fs::read(&path).expect("reads");
    let (fresh, copy) = (bench.parts("fresh", 100..120), bench.path("copy.hetmm"));
    let calibrate = ["calibrate", text(&path), "--false-reject", "10%", "--images", text(&fresh)];
    let rules = ["rules", text(&path), "--min-area", "40px"];
    for arguments in [&calibrate[..], &rules] {
        std::fs::write(&path, &whole).expect("writes");
        let mut is_cut = false;
        let copying = command(&[arguments, &["-o", text(&copy)]].concat());
        let (ended, said) = traced::run(copying, |process, call, argument| {
            let file = format!("/proc/{process}/fd/{argument}");
            let is_file = std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file());
            if CHANGES.contains(&call) && is_file && !is_cut {
                let source = std::fs::File::options().write(true).open(&path).expect("opens");
                source.set_len(64).expect("cuts");
                is_cut = true;
            }
            Call::Go
        });
        assert_eq!((ended, is_cut), (Some(0), true), "{said}");
        assert_eq!(std::fs::metadata(&path).expect("is there").len(), 64);
        assert_code(&hetmm(&["check", text(&copy)]), 0, "");
        std::fs::remove_file(&copy).expect("removes");
    }
}

mod traced {
    //! Runs a program and decides what becomes of each of its system calls.

    use nix::libc;
    use nix::sys::ptrace::{self, Options};
    use nix::sys::signal::Signal;
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    use nix::unistd::Pid;
    use std::collections::HashMap;
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    /// Says what becomes of a system call.
    pub enum Call {
        /// The call is made.
        Go,
        /// The program is killed before the call.
        Kill,
        /// The call is not made, and this is its error.
        Fail(i32),
    }

    /// Runs `command`. `on_call` is asked at every system call with the thread, the call and its first argument.
    /// Returns the exit code, or `None` if the program was killed, and what it said on stderr.
    // `waitpid` waits for its processes, as ptrace requires.
    #[allow(clippy::zombie_processes)]
    pub fn run(
        command: Command,
        mut on_call: impl FnMut(Pid, i64, u64) -> Call,
    ) -> (Option<i32>, String) {
        // A shell waits until it is traced, then becomes the program.
        let mut child = Command::new("sh")
            .args(["-c", "read go; exec \"$0\" \"$@\""])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runs");
        let main = Pid::from_raw(child.id() as i32);
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(main, options).expect("traces");
        ptrace::interrupt(main).expect("stops");
        child.stdin.take().expect("a pipe").write_all(b"go\n").expect("tells it to go");
        let mut running = false;
        // This holds the threads inside a call that is to fail, with its error.
        let mut failing: HashMap<Pid, i32> = HashMap::new();
        let code = loop {
            let status = waitpid(None, Some(WaitPidFlag::__WALL)).expect("waits");
            let (pid, signal) = match status {
                WaitStatus::Exited(pid, code) if pid == main => break Some(code),
                WaitStatus::Signaled(pid, _, _) if pid == main => break None,
                WaitStatus::PtraceEvent(pid, signal, event) => {
                    running |= event == libc::PTRACE_EVENT_EXEC;
                    (pid, (signal != Signal::SIGTRAP && event == 0).then_some(signal))
                }
                WaitStatus::PtraceSyscall(pid) => {
                    let (Ok(mut regs), Ok(stop)) =
                        (ptrace::getregs(pid), ptrace::syscall_info(pid))
                    else {
                        // A thread that is gone need not be continued.
                        let _ = ptrace::syscall(pid, None);
                        continue;
                    };
                    // Counting would not work: a new thread begins with the end of the call that made it.
                    if stop.op == libc::PTRACE_SYSCALL_INFO_ENTRY && running {
                        match on_call(pid, regs.orig_rax as i64, regs.rdi) {
                            Call::Go => {}
                            Call::Kill => {
                                nix::sys::signal::kill(main, Signal::SIGKILL).expect("kills");
                                continue;
                            }
                            Call::Fail(errno) => {
                                regs.orig_rax = u64::MAX;
                                ptrace::setregs(pid, regs).expect("sets");
                                failing.insert(pid, errno);
                            }
                        }
                    } else if stop.op == libc::PTRACE_SYSCALL_INFO_EXIT
                        && let Some(errno) = failing.remove(&pid)
                    {
                        regs.rax = -i64::from(errno) as u64;
                        ptrace::setregs(pid, regs).expect("sets");
                    }
                    (pid, None)
                }
                WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
                _ => continue,
            };
            let _ = ptrace::syscall(pid, signal);
        };
        let mut said = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("reads");
        (code, said)
    }
}
