//! Shows where the time of a network goes: `network_profile MODEL.onnx TAP,TAP,.. [RUNS]`.
//!
//! It prints milliseconds per picture by kind of operator (medians), for the network cut to its taps.

use hetmm::backbone::{Backbone, TractBackbone};
use hetmm::image::NetworkImage;
use std::collections::BTreeMap;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, taps, rest @ ..] = arguments.as_slice() else {
        return Err("usage: network_profile MODEL.onnx TAP,TAP,.. [RUNS]".into());
    };
    let runs: usize = rest.first().map_or(Ok(50), |runs| runs.parse())?;
    let taps = vec![taps.split(',').map(str::to_string).collect()];
    let backbone = TractBackbone::new(model, &std::fs::read(model)?, &taps, 256, 256)?;
    let samples = (0..256 * 256 * 3).map(|i| (i * 7919 % 65536) as u16).collect();
    let image = NetworkImage::from_samples(256, 256, samples).ok_or("size")?;
    let mut times: BTreeMap<String, (usize, Vec<f64>)> = BTreeMap::new();
    for run in 0..runs + 3 {
        backbone.features(&image)?;
        for (name, count, time) in backbone.operator_times(&image)? {
            if run >= 3 {
                let entry = times.entry(name).or_default();
                entry.0 = count;
                entry.1.push(time.as_secs_f64() * 1e3);
            }
        }
    }
    for (name, (count, mut times)) in times {
        times.sort_by(f64::total_cmp);
        println!("{:9.3} ms  {count:4} x {name}", times[times.len() / 2]);
    }
    Ok(())
}
