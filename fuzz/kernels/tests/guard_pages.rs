//! Runs the fuzz targets of the kernels with every buffer between memory pages that nobody may touch. A read or write of
//! one byte too far ends the program.
//!
//! The allocator of this program puts each block at the end of its pages, or at their start, and never uses an address
//! twice. So it also finds a use of memory that was given back. One program runs for each set of instructions, because a
//! program chooses its kernels once. `HETMM_RUNNER` names a program that runs them, if the system cannot do so itself.
//! `HETMM_INPUTS` says how many inputs each target gets [60].
#![cfg(unix)]
#![allow(unsafe_code)]

#[allow(dead_code)]
#[path = "../../src/bytes.rs"]
mod bytes;
#[path = "../../src/targets/kernels.rs"]
mod kernels;
#[path = "../../src/targets/layer.rs"]
mod layer;
#[path = "../../src/targets/network.rs"]
mod network;

use bytes::Numbers;
use hetmm::processor::{Instructions, allow_up_to};
use std::alloc::{GlobalAlloc, Layout, System};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// The addresses that are set apart for guarded blocks, in bytes.
const ADDRESSES: usize = 64 << 30;
/// Smaller blocks come from the system.
const LEAST: usize = 8;
/// The inputs that each target gets.
const INPUTS: u64 = 60;
/// Says what a program of this test does, as `INSTRUCTIONS:SIDE`.
const ROLE: &str = "HETMM_GUARDED";

static IS_ON: AtomicBool = AtomicBool::new(false);
/// Whether blocks begin right behind a guard. Otherwise they end right before one.
static AT_START: AtomicBool = AtomicBool::new(false);
static BEGIN: AtomicUsize = AtomicUsize::new(0);
static NEXT: AtomicUsize = AtomicUsize::new(0);
static BLOCKS: AtomicUsize = AtomicUsize::new(0);

struct Guarding;

#[global_allocator]
static ALLOCATOR: Guarding = Guarding;

fn page() -> usize {
    // SAFETY: it has no preconditions.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(65_536)
}

/// Sets the addresses apart, and gives every block from now on its guards.
fn guard(at_start: bool) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: the system chooses where.
    let begin =
        unsafe { libc::mmap(std::ptr::null_mut(), ADDRESSES, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(begin, libc::MAP_FAILED);
    BEGIN.store(begin as usize, SeqCst);
    NEXT.store(begin as usize, SeqCst);
    AT_START.store(at_start, SeqCst);
    IS_ON.store(true, SeqCst);
}

/// Returns the pages of a block: their address and their number of bytes.
fn pages_of(block: usize, size: usize) -> (usize, usize) {
    let page = page();
    let first = block / page * page;
    (first, (block + size).next_multiple_of(page) - first)
}

// SAFETY: every block has pages of its own that are never given out again, or comes from the system's allocator. Both are
// told apart by their addresses.
unsafe impl GlobalAlloc for Guarding {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (page, size) = (page(), layout.size());
        if !IS_ON.load(SeqCst) || size < LEAST || layout.align() > page {
            // SAFETY: the caller's promise is the one that the system's allocator asks for.
            return unsafe { System.alloc(layout) };
        }
        let pages = size.next_multiple_of(page);
        // The page behind stays without access. It is also the one before the next block.
        let first = NEXT.fetch_add(pages + page, SeqCst) + page;
        if first + pages + page > BEGIN.load(SeqCst) + ADDRESSES {
            return std::ptr::null_mut();
        }
        // SAFETY: these pages belong to this call alone.
        let done =
            unsafe { libc::mprotect(first as *mut _, pages, libc::PROT_READ | libc::PROT_WRITE) };
        if done != 0 {
            return std::ptr::null_mut();
        }
        BLOCKS.fetch_add(1, SeqCst);
        let block = match AT_START.load(SeqCst) {
            true => first,
            false => (first + pages - size) / layout.align() * layout.align(),
        };
        block as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let begin = BEGIN.load(SeqCst);
        if begin == 0 || !(begin..begin + ADDRESSES).contains(&(block as usize)) {
            // SAFETY: the block came from the system's allocator.
            return unsafe { System.dealloc(block, layout) };
        }
        let (first, pages) = pages_of(block as usize, layout.size());
        // SAFETY: the pages were made for this block alone, and nobody may use it any more.
        unsafe {
            libc::madvise(first as *mut _, pages, libc::MADV_DONTNEED);
            libc::mprotect(first as *mut _, pages, libc::PROT_NONE);
        }
    }
}

/// Plays the part that the environment names. Returns false if there is none.
fn plays_a_part() -> bool {
    let Ok(role) = std::env::var(ROLE) else { return false };
    let (instructions, side) = role.split_once(':').expect("two words");
    let instructions = ALL.iter().find(|(name, _)| *name == instructions).expect("is known").1;
    allow_up_to(instructions);
    guard(side == "start");
    match side {
        "beyond" => {
            let bytes = vec![7u8; 4096];
            // SAFETY: none. The test is that this ends the program.
            let read = unsafe { bytes.as_ptr().add(4096).read_volatile() };
            panic!("{read} was read");
        }
        _ => {
            let inputs = std::env::var("HETMM_INPUTS").ok().and_then(|count| count.parse().ok());
            let mut numbers = Numbers(2);
            for _ in 0..inputs.unwrap_or(INPUTS) {
                let input: Vec<u8> = (0..32).map(|_| numbers.next() as u8).collect();
                kernels::run(&input);
                layer::run(&input);
                network::run(&input);
            }
        }
    }
    let names: Vec<&str> =
        hetmm::matching::kernel::Kernel::all().iter().map(|kernel| kernel.name()).collect();
    println!("guarded {} blocks with {}", BLOCKS.load(SeqCst), names.join(", "));
    true
}

const ALL: [(&str, Instructions); 4] = [
    ("portable", Instructions::Portable),
    ("avx2", Instructions::Avx2),
    ("avx-vnni", Instructions::AvxVnni),
    ("all", Instructions::Avx512),
];

fn run(instructions: &str, side: &str) -> Output {
    let program = std::env::current_exe().expect("a program");
    let mut command = match std::env::var_os("HETMM_RUNNER") {
        Some(runner) => Command::new(runner),
        None => Command::new("/usr/bin/env"),
    };
    command.arg(program).args([
        "--exact",
        "no_kernel_touches_memory_beside_its_buffers",
        "--nocapture",
    ]);
    command.env(ROLE, format!("{instructions}:{side}")).output().expect("runs")
}

#[test]
fn no_kernel_touches_memory_beside_its_buffers() {
    if plays_a_part() {
        return;
    }
    let beyond = run("portable", "beyond");
    assert_eq!(beyond.status.signal(), Some(libc::SIGSEGV), "the guards do not work: {beyond:?}");
    // Other processors have one choice.
    let choices = if cfg!(target_arch = "x86_64") { &ALL[..] } else { &ALL[3..] };
    for (name, _) in choices {
        for side in ["start", "end"] {
            let output = run(name, side);
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && said.contains("guarded "),
                "{name}, {side}: {:?}\n{said}\n{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
            eprint!("{}", said.lines().find(|l| l.contains("guarded")).unwrap_or_default());
            eprintln!(" ({name}, {side})");
        }
    }
}
