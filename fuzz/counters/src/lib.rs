//! Hands libFuzzer only the counters that were ever reached.
//!
//! The fuzz program has 190,000 counters, and libFuzzer reads and clears all of them for each input. That takes ten times as
//! long as a short text. A target reaches a few thousand of them. So libFuzzer is told of an array of that size. After each
//! input, [`collect`] copies what was counted to it. It looks at 64 bytes at once.
//!
//! This is a crate of its own because it must not be counted itself (`fuzz/rustc.sh`). `fuzz/build.rs` wraps the two
//! functions with which compiled files announce their counters.
#![deny(unsafe_op_in_unsafe_fn)]

use std::cell::UnsafeCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

/// The counters that libFuzzer knows. If a target reaches more, some of them share one.
const KNOWN: usize = 16_384;
/// The bytes that are looked at together.
const LINE: usize = 64;

/// The place of a counter in the program: an address, and whether a function begins there.
#[repr(C)]
#[derive(Clone, Copy)]
struct Place(usize, usize);

/// Memory that libFuzzer reads between two inputs, while nothing here runs.
#[repr(C, align(4096))]
struct Shared<T>(UnsafeCell<T>);

// SAFETY: only the thread that runs the inputs uses it, and libFuzzer only between two calls on the same thread.
unsafe impl<T: Send> Sync for Shared<T> {}

static COUNTED: Shared<[u8; KNOWN]> = Shared(UnsafeCell::new([0; KNOWN]));
static PLACES: Shared<[Place; KNOWN]> = Shared(UnsafeCell::new([Place(0, 0); KNOWN]));

/// The counters of the program: where they begin, how many there are, and their places.
static FIRST: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static COUNT: AtomicUsize = AtomicUsize::new(0);
static FIRST_PLACE: AtomicPtr<Place> = AtomicPtr::new(std::ptr::null_mut());

/// Which of the known counters each counter of the program has, plus one. 0 means that it was never reached.
static NUMBERS: Mutex<(Vec<u16>, usize)> = Mutex::new((vec![], 0));

unsafe extern "C" {
    fn __real___sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8);
    fn __real___sanitizer_cov_pcs_init(start: *const Place, stop: *const Place);
}

/// Called by every compiled file with all counters of the program.
///
/// # Safety
/// The counters from `start` to `stop` live as long as the program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap___sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    let before = FIRST.swap(start, Relaxed);
    if before.is_null() {
        COUNT.store(stop as usize - start as usize, Relaxed);
        let counted = COUNTED.0.get().cast::<u8>();
        // SAFETY: the array lives as long as the program.
        unsafe { __real___sanitizer_cov_8bit_counters_init(counted, counted.add(KNOWN)) };
    } else if before != start {
        // Nothing may be printed before the program has begun.
        std::process::abort();
    }
}

/// Called by every compiled file with the places of all counters.
///
/// # Safety
/// The places from `start` to `stop` live as long as the program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap___sanitizer_cov_pcs_init(start: *mut usize, _: *const usize) {
    if FIRST_PLACE.swap(start.cast(), Relaxed).is_null() {
        let places = PLACES.0.get().cast::<Place>();
        // SAFETY: the array lives as long as the program.
        unsafe { __real___sanitizer_cov_pcs_init(places, places.add(KNOWN)) };
    }
}

/// Copies what was counted since the last call, and sets the counters of the program to 0.
///
/// Only the thread that runs the inputs may call this, behind each of them.
pub fn collect() {
    let mut numbers = NUMBERS.lock().unwrap_or_else(|lock| lock.into_inner());
    let (first, count) = (FIRST.load(Relaxed), COUNT.load(Relaxed));
    numbers.0.resize(count, 0);
    // SAFETY: these are all counters of the program. What other threads count in this moment may get lost, and nothing else.
    let counters = unsafe { std::slice::from_raw_parts_mut(first, count) };
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has it.
        return unsafe { with_avx2(counters, &mut numbers) };
    }
    lines(counters, &mut numbers);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(counters: &mut [u8], numbers: &mut (Vec<u16>, usize)) {
    lines(counters, numbers);
}

#[inline(always)]
fn lines(counters: &mut [u8], numbers: &mut (Vec<u16>, usize)) {
    let (whole, rest) = counters.as_chunks_mut::<LINE>();
    for (number, line) in whole.iter_mut().enumerate() {
        if line.iter().fold(0, |sum, counter| sum | counter) != 0 {
            take(number * LINE, line, numbers);
        }
    }
    take(whole.len() * LINE, rest, numbers);
}

/// Takes the counters from number `at` on.
#[inline(never)]
fn take(at: usize, line: &mut [u8], (numbers, given): &mut (Vec<u16>, usize)) {
    for (at, counter) in (at..).zip(line).filter(|(_, counter)| **counter != 0) {
        if numbers[at] == 0 {
            let number = *given % KNOWN;
            *given += 1;
            numbers[at] = number as u16 + 1;
            // SAFETY: both arrays have `KNOWN` places, and the program has a place for each of its counters.
            unsafe {
                let place = *FIRST_PLACE.load(Relaxed).add(at);
                PLACES.0.get().cast::<Place>().add(number).write(place);
            }
        }
        // SAFETY: the number is less than `KNOWN`.
        let known = unsafe { &mut *COUNTED.0.get().cast::<u8>().add(usize::from(numbers[at]) - 1) };
        *known = (*known).max(std::mem::take(counter));
    }
}
