//! How many threads the program computes with.

use hetmm::{Error, Result};
use std::num::NonZero;

/// Environment variable that gives the number of threads where the command line does not.
const VARIABLE: &str = "RAYON_NUM_THREADS";
/// So many threads are allowed on every machine.
const ALWAYS_ALLOWED: usize = 64;
/// Threads that are allowed for each core. Threads beyond the cores only take turns, and those that wait for
/// work keep asking for it: a thousand of them starve the machine.
const PER_CORE: usize = 4;

/// Starts the threads that all parts of the program share: those asked for, or one for each core.
///
/// # Errors
/// [`hetmm::error::Kind::Usage`] where these are none, or more than the machine can bear.
pub fn start(asked: Option<usize>) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let of_variable =
        || std::env::var(VARIABLE).ok()?.trim().parse().ok().filter(|&n: &usize| n > 0);
    let (count, name) = match asked {
        Some(count) => (count, "--threads"),
        None => (of_variable().unwrap_or(cores), VARIABLE),
    };
    check(count, cores, name)?;
    // This thread is one of them: handing every small piece of work to another one takes longer
    // than doing it.
    rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .use_current_thread()
        .build_global()
        .map_err(|e| Error::usage(format!("threads cannot be started: {e}")))
}

/// Whether a machine with so many cores can bear so many threads; `name` is what asks for them.
fn check(count: usize, cores: usize, name: &str) -> Result<()> {
    let most = (cores * PER_CORE).max(ALWAYS_ALLOWED);
    if count == 0 {
        return Err(Error::usage(format!("{name} 0 computes nothing"))
            .advise("give at least 1, or leave it out for one thread on each core"));
    }
    if count > most {
        return Err(Error::usage(format!(
            "{name} {count} is too much for this machine: it has {cores} cores, which allow {most} threads"
        ))
        .advise("leave it out for one thread on each core: more are seldom quicker"));
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
