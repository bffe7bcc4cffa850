//! The boundary to libFuzzer: it chooses the target, and says which panics are findings.

use crate::targets::{self, Target};
use std::collections::BTreeSet;
use std::ffi::{c_char, c_int};
use std::panic::catch_unwind;
use std::sync::{Mutex, OnceLock};

static TARGET: OnceLock<&Target> = OnceLock::new();
/// The places of panics in decoders of others, which the library contains.
static CONTAINED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Called once by libFuzzer, before the first input.
#[unsafe(no_mangle)]
pub extern "C" fn LLVMFuzzerInitialize(_: *mut c_int, _: *mut *mut *mut c_char) -> c_int {
    let name = std::env::var("HETMM_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = targets::ALL.iter().find(|target| target.name == name) else {
        for target in targets::ALL {
            println!("{} {}", target.name, target.longest);
        }
        std::process::exit(i32::from(name != "list"));
    };
    if let Some(folder) = std::env::var_os("HETMM_FUZZ_SEEDS") {
        for (number, seed) in (target.seeds)().iter().enumerate() {
            let path = std::path::Path::new(&folder).join(format!("seed-{number:03}"));
            std::fs::write(path, seed).expect("a seed is written");
        }
        std::process::exit(0);
    }
    end_at_panics();
    // Work is done on the thread that libFuzzer watches.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
    pool.build_global().expect("a pool");
    let _ = TARGET.set(target);
    0
}

/// Called by libFuzzer with every input.
///
/// # Safety
/// `data` has `size` bytes that do not change during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> c_int {
    let input = match size {
        0 => &[],
        // SAFETY: libFuzzer gives `size` bytes.
        _ => unsafe { std::slice::from_raw_parts(data, size) },
    };
    if let Some(target) = TARGET.get() {
        // The hook has told of the panic. Nothing unwinds into libFuzzer.
        catch_unwind(|| (target.run)(input)).unwrap_or_else(|_| std::process::abort());
        hetmm_fuzz_counters::collect();
    }
    0
}

/// Ends the program at every panic, but for those in other people's decoders that are contained. Each of their places is
/// named once.
fn end_at_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        // The task of a connection ends with a panic in the decoder of its requests, and nothing else does.
        let is_contained = hetmm::containment::is_contained() || place.contains("/tokio-modbus-");
        if is_contained && place.contains("/registry/src/") {
            let mut known = CONTAINED.lock().unwrap_or_else(|lock| lock.into_inner());
            if known.insert(place.clone()) {
                let own =
                    place.split("/registry/src/").nth(1).and_then(|path| path.split_once('/'));
                eprintln!("CONTAINED {}", own.map_or("", |(_, path)| path));
            }
            return;
        }
        usual(panic);
        std::process::abort();
    }));
}
