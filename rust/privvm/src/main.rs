// SPDX-License-Identifier: GPL-2.0-only
//! Has processes map memory at random, in three beancounters with limits that bite, and compares
//! what the kernel does with the model, after each step.
//!
//! `privvm STEPS [SEED [EVERY [PLANTED]]]`: each `EVERY`-th time, and always if that is left out,
//! the kernel is asked for the pages of all mappings that it finds, too. `PLANTED` makes the two
//! differ by one page, which is to be found: `limit` in what there may be, `page` in what there is.
//! Prints test lines.

mod driver;
mod maps;
mod worker;

use driver::Planted;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize| args.get(n).and_then(|arg| arg.parse::<u64>().ok());
    if args.first().is_some_and(|arg| arg == "worker") {
        let (Some(slot), Some(fd)) = (number(1), number(2)) else {
            return ExitCode::from(2);
        };
        return match worker::share(Some(fd as i32)) {
            Ok(_) => worker::work(slot as usize, true),
            Err(_) => ExitCode::from(2),
        };
    }
    let planted = match args.get(3).map(String::as_str) {
        None => Some(Planted::default()),
        Some("limit") => Some(Planted { limit: 1, page: 0 }),
        Some("page") => Some(Planted { limit: 0, page: 1 }),
        Some(_) => None,
    };
    let (Some(steps), Some(planted)) = (number(0), planted) else {
        eprintln!("usage: privvm STEPS [SEED [EVERY [limit|page]]]");
        return ExitCode::from(2);
    };
    // A program that cannot be executed for want of memory says so: that is no news here.
    // SAFETY: Takes no pointers.
    unsafe { libc::fcntl(libc::STDERR_FILENO, libc::F_SETFD, libc::FD_CLOEXEC) };
    let (seed, every) = (number(1).unwrap_or(1), number(2).unwrap_or(1));
    match driver::run(steps, seed, every, planted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            println!("not ok {err}");
            ExitCode::FAILURE
        }
    }
}
