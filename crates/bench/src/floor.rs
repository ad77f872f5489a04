//! The machine as it is now: its load, and two figures that depend on nothing of ours.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

/// A line that says under which circumstances the table came to be.
#[must_use]
pub fn describe() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let write = durable_write().map_or_else(|error| error.to_string(), |time| format!("{time:.2} ms"));
    let busy = if load.parse().is_ok_and(|load: f64| load > 3.0) { "; too busy for more than ratios" } else { "" };
    format!("load {load}, a loop {:.1} ms, a durable write of 4 KiB {write}{busy}", a_loop())
}

/// Milliseconds of a loop that only computes.
#[must_use]
pub fn a_loop() -> f64 {
    let start = Instant::now();
    let sum = (0..10_000_000_u64).fold(1_u64, |sum, number| std::hint::black_box(sum.rotate_left(5) ^ number));
    std::hint::black_box(sum);
    start.elapsed().as_secs_f64() * 1000.0
}

/// Milliseconds of an append that survives the machine's power; the median of some.
///
/// # Errors
/// When there is no temporary file to write to.
pub fn durable_write() -> std::io::Result<f64> {
    let mut file: File = tempfile::tempfile()?;
    let mut times = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
