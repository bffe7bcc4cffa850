//! Tests the part tracker against an oracle: a slow, plain model that was written from the contract alone, and safety
//! checks that know even less.
//!
//! By default it plays a million parts with a fixed seed. Three environment variables change this:
//! - `HETMM_ORACLE_PARTS`: how many parts to play;
//! - `HETMM_ORACLE_SEED`: the seed of the run;
//! - `HETMM_ORACLE_TRIAL`: play only this one trial of the run.
//!
//! A run of more than ten seconds shows its progress on stderr.

mod bench;
mod line;
mod model;
mod numbers;
mod safety;
mod shrink;
mod tally;
mod watch;
mod world;

use std::io::Write;
use std::time::{Duration, Instant};
use tally::Tally;
use watch::Watchdog;
use world::World;

/// The seed of the run in CI.
const SEED: u64 = 20_261_127;

fn number_from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    let number = value.replace('_', "").parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is not a number: {value:?}")))
}

/// Writes to stderr at once, even if the test harness captures what a test prints.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[test]
fn the_machine_does_what_the_oracle_says() {
    let seed = number_from_environment("HETMM_ORACLE_SEED").unwrap_or(SEED);
    let parts = number_from_environment("HETMM_ORACLE_PARTS").unwrap_or(1_000_000);
    let watchdog = Watchdog::start(seed);
    let mut total = Tally::default();
    if let Some(trial) = number_from_environment("HETMM_ORACLE_TRIAL") {
        return play(seed, trial, &watchdog, &mut total);
    }
    let (begin, mut shown, mut trial) = (Instant::now(), Instant::now(), 0);
    while total.parts() < parts {
        play(seed, trial, &watchdog, &mut total);
        trial += 1;
        if shown.elapsed() > Duration::from_secs(10) {
            shown = Instant::now();
            let rate = total.parts() as f64 / begin.elapsed().as_secs_f64();
            tell(&format!("{} parts in {trial} trials, {rate:.0} parts/s", total.parts()));
        }
    }
    watchdog.rests();
    let rate = total.parts() as f64 / begin.elapsed().as_secs_f64();
    let report = format!("seed {seed}: {trial} trials, {rate:.0} parts/s\n{}", total.report());
    if parts > 1_000_000 {
        tell(&report)
    } else {
        eprintln!("{report}")
    }
    if parts >= 1_000_000 {
        let gaps = total.gaps();
        assert!(gaps.is_empty(), "the run exercised too little:\n{}", gaps.join("\n"));
    }
}

/// Plays one trial. If it fails, looks for the shortest story that fails.
fn play(seed: u64, trial: u64, watchdog: &Watchdog, total: &mut Tally) {
    watchdog.begins(trial);
    let mut world = World::new(seed, trial);
    if let Err(why) = world.play() {
        watchdog.rests();
        let story = shrink::shortest(&world.bench);
        panic!(
            "seed {seed}, trial {trial}: {why}\nThe last calls were\n{}\n\nThe shortest story: {story}",
            world.bench.story(30)
        );
    }
    total.add(&world.bench.tally);
}
