// SPDX-License-Identifier: GPL-2.0-only
//! bcctl: runs commands in beancounters, moves tasks into them, shows them.
//!
//! Each verb is a module; `output` is the one way out.

// Rust's own start-up code ignores SIGPIPE.  bcctl leaves signals alone: a
// command that `run` starts has to find them as bcctl did.
#![cfg_attr(not(test), no_main)]

mod attach;
mod cli;
mod completions;
mod get;
mod limits;
mod list;
mod output;
mod release;
mod run;
mod set;
mod stat;

use cli::Verb;
use output::{Failure, Output, REFUSED};
use std::ffi::OsString;

fn bcctl(arguments: Vec<OsString>) -> i32 {
    let cli = match cli::parse(&arguments) {
        Ok(cli) => cli,
        Err(answer) => return usage(&answer, cli::asks_for_json(&arguments)),
    };
    let output = Output::new(cli.json);
    let result = match cli.verb {
        Verb::Run(arguments) => run::run(&output, &arguments),
        Verb::Attach(arguments) => attach::attach(&output, &arguments),
        Verb::Set(arguments) => set::set(&output, &arguments),
        Verb::Get(arguments) => get::get(&output, &arguments),
        Verb::Stat(arguments) => stat::stat(&output, &arguments),
        Verb::List => list::list(&output),
        Verb::Release(arguments) => release::release(&output, &arguments),
        Verb::Completions(arguments) => completions::completions(&output, &arguments),
    };
    match result {
        Ok(()) => 0,
        Err(failures) => {
            for failure in &failures {
                output.failure(failure);
            }
            failures.last().map_or(REFUSED, |failure| failure.status)
        }
    }
}

/// Writes a help text, the version or what is wrong with the command line.
fn usage(answer: &clap::Error, json: bool) -> i32 {
    let text = answer.render().to_string();
    if answer.use_stderr() {
        if json {
            Output::new(true).failure(&Failure::of_usage(&text, answer.exit_code()));
        } else {
            output::to_stderr(&text);
        }
        return answer.exit_code();
    }
    match output::to_stdout(&text) {
        Ok(()) => answer.exit_code(),
        Err(failure) => {
            Output::new(false).failure(&failure);
            failure.status
        }
    }
}

/// The C library's entry.
// Its name is sound: no other `main` is linked in, and this one has C's type.
#[cfg_attr(not(test), unsafe(export_name = "main"))]
#[cfg_attr(test, expect(dead_code, reason = "the test harness has its own"))]
extern "C" fn entry(argc: libc::c_int, argv: *const *const libc::c_char) -> libc::c_int {
    use std::ffi::{CStr, OsStr};
    use std::os::unix::ffi::OsStrExt;

    let arguments = (0..usize::try_from(argc).unwrap_or(0))
        .map(|index| {
            // SAFETY: the C library calls main with argc strings at argv.
            let argument = unsafe { CStr::from_ptr(*argv.add(index)) };
            OsStr::from_bytes(argument.to_bytes()).to_owned()
        })
        .collect();
    bcctl(arguments)
}

/// What a verb answers: nothing more to say, or what went wrong.
type Result<T = ()> = std::result::Result<T, Vec<Failure>>;
