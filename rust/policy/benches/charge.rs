// SPDX-License-Identifier: GPL-2.0-only
//! Cycles of the time-stamp counter that a charge and its uncharge take, on one and on two CPUs:
//! the general way, and the short way of objects of kernel memory.
//!
//! The reference of what can be had is a pair of locked additions to a shared word.
#![cfg(not(loom))]

use bc_policy::policy::counter::{Counter, Limits, Severity};
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Instant;

const PAIRS: u64 = 2_000_000;
const REPEATS: usize = 7;

/// A counter for itself on its cache lines.
#[repr(align(128))]
struct Apart<T>(T);

/// Nanoseconds a pair, the median of some runs, with `threads` at the same time.
fn measure(threads: usize, pair: impl Fn(usize) + Sync) -> (f64, f64) {
    let mut runs: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let ready = Barrier::new(threads);
            let times: Vec<f64> = std::thread::scope(|scope| {
                let work = |n| {
                    let (ready, pair) = (&ready, &pair);
                    move || {
                        ready.wait();
                        let start = Instant::now();
                        for _ in 0..PAIRS {
                            pair(n);
                        }
                        start.elapsed().as_nanos() as f64 / PAIRS as f64
                    }
                };
                let handles: Vec<_> = (0..threads).map(|n| scope.spawn(work(n))).collect();
                handles.into_iter().map(|h| h.join().unwrap()).collect()
            });
            times.iter().sum::<f64>() / times.len() as f64
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    (runs[REPEATS / 2], runs[REPEATS - 1] - runs[0])
}

fn main() {
    let counters = [Apart(Counter::new()), Apart(Counter::new())];
    let words = [Apart(AtomicU64::new(0)), Apart(AtomicU64::new(0))];
    for counter in &counters {
        counter.0.set_limits(Limits::new(1000, 1000).unwrap());
    }
    let charge = |n: usize| {
        let counter = black_box(&counters[n].0);
        assert!(counter.charge(1, Severity::Barrier).is_ok());
        assert!(counter.uncharge(1).is_ok());
    };
    let try_charge = |n: usize| {
        let counter = black_box(&counters[n].0);
        assert!(counter.try_charge(1));
        assert!(counter.uncharge(1).is_ok());
    };
    let add = |n: usize| {
        let word = black_box(&words[n].0);
        word.fetch_add(1, SeqCst);
        word.fetch_sub(1, SeqCst);
    };
    // How fast the time-stamp counter runs.
    let hz = {
        let line = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let mhz = line.lines().find_map(|l| {
            l.strip_prefix("cpu MHz")?
                .split(": ")
                .nth(1)?
                .parse::<f64>()
                .ok()
        });
        mhz.unwrap_or(1000.0) * 1e6
    };
    let cycles = |ns: f64| ns * hz / 1e9;

    println!(
        "cycles at {:.0} MHz for a pair, median of {REPEATS} (spread)",
        hz / 1e6
    );
    println!(
        "{:<26} {:>16} {:>20} {:>16}",
        "", "charge/uncharge", "try_charge/uncharge", "locked add/sub"
    );
    type Pick = fn(usize) -> usize;
    let rows: [(&str, usize, Pick); 3] = [
        ("1 thread", 1, |_| 0),
        ("2 threads, different BCs", 2, |n| n),
        ("2 threads, the same BC", 2, |_| 0),
    ];
    for (name, threads, pick) in rows {
        let (a, sa) = measure(threads, |n| charge(pick(n)));
        let (b, sb) = measure(threads, |n| try_charge(pick(n)));
        let (c, sc) = measure(threads, |n| add(pick(n)));
        println!(
            "{name:<26} {:>9.0} ({:>4.0}) {:>13.0} ({:>4.0}) {:>9.0} ({:>4.0})",
            cycles(a),
            cycles(sa),
            cycles(b),
            cycles(sb),
            cycles(c),
            cycles(sc)
        );
    }
}
