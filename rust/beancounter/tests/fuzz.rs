// SPDX-License-Identifier: GPL-2.0-only
//! A million inputs for each of the two parsers: none makes them panic, and
//! what they take means the same when it is printed and read again.
//!
//! `BC_FUZZ_CASES` sets another number.

use beancounter::{BcId, Bound, Limits, Listing, Setting};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;

const CASES: u32 = 1_000_000;

fn runner() -> TestRunner {
    let cases = std::env::var("BC_FUZZ_CASES").map_or(CASES, |cases| {
        cases.parse().expect("BC_FUZZ_CASES is a number")
    });
    TestRunner::new(Config {
        cases,
        // A failure is printed; there is nothing to be kept from run to run.
        failure_persistence: None,
        ..Config::default()
    })
}

/// Texts of a few pieces that have a meaning somewhere, and of any characters
/// between them.
fn text(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    let piece = any::<(u8, char)>().prop_map(move |(which, other)| {
        let which = usize::from(which) % (pieces.len() * 8 / 7 + 1);
        pieces
            .get(which)
            .map_or(other.to_string(), |piece| (*piece).to_owned())
    });
    vec(piece, 0..most).prop_map(|pieces| pieces.concat())
}

/// Whatever a limit is made of.
const LIMIT: &[&str] = &[
    "numproc",
    "kmemsize",
    "privvmpages",
    "dummy",
    "=",
    "=",
    ":",
    ":",
    "0",
    "1",
    "7",
    "42",
    "1024",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "8388607",
    "8388608",
    "K",
    "M",
    "G",
    "T",
    "k",
    "t",
    "unlimited",
    "+",
    "-",
    " ",
    ".",
    "\0",
];

/// Whatever a listing is made of.
const LISTING: &[&str] = &[
    "Version: 2.5\n",
    "uid resource held maxheld barrier limit failcnt\n",
    "Version:",
    "2.5",
    "uid",
    "resource",
    "numproc",
    "kmemsize",
    "dummy",
    "\n",
    "\n",
    " ",
    " ",
    " ",
    "1:",
    "100:",
    "2147483647:",
    "2147483648:",
    ":",
    "0",
    "1",
    "5 6",
    "1 2 3 4 5",
    "numproc 1 2 3 4 5\n",
    "7: kmemsize 1 2 3 4 5\n",
    "18446744073709551615",
    "18446744073709551616",
    "-",
    "+1",
    "\t",
    "\r",
];

/// Counts the inputs that are taken: were there hardly any, most of the parser
/// would not be seen.
#[derive(Default)]
struct Taken(Cell<u32>);

impl Taken {
    fn one(&self) {
        self.0.set(self.0.get() + 1);
    }

    fn are_enough(&self, runner: &TestRunner) {
        let cases = runner.config().cases;
        assert!(self.0.get() >= cases / 1000, "{} of {cases}", self.0.get());
    }
}

/// Half of the texts begin as a setting has to.
#[test]
fn limits() {
    let inputs = (any::<bool>(), text(LIMIT, 7));
    let taken = Taken::default();
    let mut runner = runner();
    let run = runner.run(&inputs, |(headed, body)| {
        let text = if headed {
            format!("numproc={body}")
        } else {
            body
        };
        if let Ok(setting) = text.parse::<Setting>() {
            taken.one();
            prop_assert_eq!(setting.to_string().parse(), Ok(setting));
        }
        if let Ok(limits) = text.parse::<Limits>() {
            prop_assert!(limits.barrier() <= limits.limit());
            prop_assert_eq!(limits.to_string().parse(), Ok(limits));
        }
        if let Ok(bound) = text.parse::<Bound>() {
            prop_assert_eq!(bound.to_string().parse(), Ok(bound));
        }
        if let Ok(id) = text.parse::<BcId>() {
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
        Ok(())
    });
    run.unwrap();
    taken.are_enough(&runner);
}

/// Half of the texts begin as a listing has to.
#[test]
fn listings() {
    let head = Listing::default().to_string();
    let inputs = (any::<bool>(), text(LISTING, 24));
    let taken = Taken::default();
    let mut runner = runner();
    let run = runner.run(&inputs, |(headed, body)| {
        let text = if headed { head.clone() + &body } else { body };
        if let Ok(listing) = text.parse::<Listing>() {
            taken.one();
            prop_assert!(listing.beancounters.iter().all(|bc| !bc.rows.is_empty()));
            prop_assert_eq!(listing.to_string().parse(), Ok(listing));
        }
        Ok(())
    });
    run.unwrap();
    taken.are_enough(&runner);
}
