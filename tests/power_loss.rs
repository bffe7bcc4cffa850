//! Power loss while a template is changed. Alone in its program: it waits for every process that is
//! traced, and other tests start processes, too.
#![cfg(all(feature = "desktop", target_os = "linux", target_arch = "x86_64"))]

mod common;

use common::{Bench, SMALL, TEMPLATE, assert_code, command, hetmm, text};

/// Power loss: the program is killed at every system call by which it changes files. Whatever was
/// done until then, the template is the old or the new one, and works.
#[test]
fn killed_at_any_write_the_template_is_the_old_or_the_new_one() {
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
            let ended = traced::killed_at(command(arguments), write);
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
            if ended || !is_old {
                break;
            }
        }
        assert!(old > 10 && new == 1, "{task}: {old} old, {new} new");
    }
}

mod traced {
    //! Runs a program and kills it at a system call of choice.

    use nix::libc;
    use nix::sys::ptrace::{self, Options};
    use nix::sys::signal::Signal;
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    use nix::unistd::Pid;
    use std::collections::HashSet;
    use std::io::Write;
    use std::process::{Command, Stdio};

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

    /// Kills `command` when it is about to make its change number `number` to files. True when it
    /// has ended by itself before.
    // Its processes are waited for by `waitpid`, as ptrace wants it.
    #[allow(clippy::zombie_processes)]
    pub fn killed_at(command: Command, number: usize) -> bool {
        // A shell waits until it is traced, then becomes the program.
        let mut child = Command::new("sh")
            .args(["-c", "read go; exec \"$0\" \"$@\""])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
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
        let (mut running, mut changes) = (false, 0);
        let mut inside: HashSet<Pid> = HashSet::new();
        loop {
            let status = waitpid(None, Some(WaitPidFlag::__WALL)).expect("waits");
            let (pid, signal) = match status {
                WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _) if pid == main => {
                    return changes <= number;
                }
                WaitStatus::PtraceEvent(pid, signal, event) => {
                    running |= event == libc::PTRACE_EVENT_EXEC;
                    (pid, (signal != Signal::SIGTRAP && event == 0).then_some(signal))
                }
                WaitStatus::PtraceSyscall(pid) => {
                    let entry = inside.insert(pid);
                    if !entry {
                        inside.remove(&pid);
                    }
                    let call = ptrace::getregs(pid).map_or(-1, |regs| regs.orig_rax as i64);
                    if entry && running && CHANGES.contains(&call) {
                        changes += 1;
                        if changes > number {
                            nix::sys::signal::kill(main, Signal::SIGKILL).expect("kills");
                            continue;
                        }
                    }
                    (pid, None)
                }
                WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
                _ => continue,
            };
            // A thread that is gone needs no word.
            let _ = ptrace::syscall(pid, signal);
        }
    }
}
