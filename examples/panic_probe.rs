//! Shows what the outputs do when the device program panics. It requests the outputs `ng` and `fault` of a GPIO chip,
//! drives them as a healthy device does, and panics. It is for the board test.

use hetmm::gpio::LineRef;
use hetmm::line::config::{FaultConfig, LineConfig, NgConfig};
use hetmm::line::outputs::Bank;
use hetmm::line::supervise::install_panic_hook;
use hetmm::line::tracker::Line;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn main() {
    let chip = std::env::args().nth(1).expect("usage: panic_probe CHIP");
    let text = "[template]\nfile = \"-\"\n[trigger]\nsource = \"free-run\"\n[camera]\n\
                source = \"folder\"\nfolder = \"-\"\nframes_per_second = 1\n[reject]\n\
                delay_us = 1000\npulse_width_us = 1000\n[outputs]\nsimulate = true\n";
    let mut outputs = LineConfig::parse(text, "panic_probe").expect("a configuration").outputs;
    let line = |name: &str| LineRef::Name(name.into());
    outputs.simulate = false;
    outputs.chip = Some(chip);
    outputs.ng = Some(NgConfig {
        chip: None,
        line: line("ng"),
        active: Default::default(),
        safe: Default::default(),
        feedback: None,
    });
    outputs.fault =
        Some(FaultConfig { chip: None, line: line("fault"), healthy: Default::default() });
    let bank = Bank::open(&outputs).expect("the lines");
    let bank = Arc::new(Mutex::new(bank));
    install_panic_hook(bank.clone());
    for line in [Line::Fault, Line::Ng] {
        bank.lock().expect("its lock").set(line, false).expect("drives");
    }
    std::thread::sleep(Duration::from_millis(500));
    let worker = std::thread::spawn(|| panic!("a fault of its own, made for the test"));
    // The hook ends the process before anything else can happen.
    let _ = worker.join();
    std::thread::sleep(Duration::from_secs(5));
}
