//! This module starts the threads that the program computes with.

use hetmm::{Error, Result};
use std::num::NonZero;

/// Environment variable that gives the number of threads where the command line does not.
const VARIABLE: &str = "RAYON_NUM_THREADS";
/// The number of threads that is allowed on every machine.
const ALWAYS_ALLOWED: usize = 64;
/// The number of threads that is allowed per core. More threads than cores only take turns. Threads that wait for work
/// keep asking for it, so a thousand of them starve the machine.
const PER_CORE: usize = 4;

/// Starts the threads that the whole program shares: the number that was asked for, or one per core.
///
/// # Errors
/// [`hetmm::error::Kind::Usage`] if the number is zero, or larger than the machine allows.
pub fn start(asked: Option<usize>) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let of_variable =
        || std::env::var(VARIABLE).ok()?.trim().parse().ok().filter(|&n: &usize| n > 0);
    let (count, name) = match asked {
        Some(count) => (count, "--threads"),
        None => (of_variable().unwrap_or(cores), VARIABLE),
    };
    check(count, cores, name)?;
    // This thread is one of them, because small pieces of work are done faster than they are handed over.
    rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .use_current_thread()
        .build_global()
        .map_err(|e| Error::usage(format!("threads cannot be started: {e}")))
}

/// Checks that a machine with `cores` cores allows `count` threads. `name` is the option or variable that asks for
/// them.
fn check(count: usize, cores: usize, name: &str) -> Result<()> {
    let most = (cores * PER_CORE).max(ALWAYS_ALLOWED);
    if count == 0 {
        return Err(Error::usage(format!(
            "{name} is 0, but the program needs at least one thread"
        ))
        .advise("give at least 1, or leave it out for one thread per core"));
    }
    if count > most {
        return Err(Error::usage(format!(
            "{name} {count} is too much for this machine: it allows at most {most} threads on {cores} cores"
        ))
        .advise("leave it out for one thread per core: more threads are seldom faster"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_threads_as_the_machine_can_bear() {
        for (count, cores, is_allowed) in [
            (0, 2, false),
            (1, 1, true),
            (64, 2, true),
            (65, 2, false),
            (256, 64, true),
            (257, 64, false),
            (usize::MAX, 2, false),
        ] {
            assert_eq!(check(count, cores, "--threads").is_ok(), is_allowed, "{count} on {cores}");
        }
    }
}
