// SPDX-License-Identifier: GPL-2.0-only
//! `bcctl run`.

use crate::cli::RunArgs;
use crate::output::{Document, Failure, Output, Task, to_stderr};
use beancounter::{BcId, Errno, SetFlags, Target, set_bcid};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;

/// As of env(1).
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

pub fn run(output: &Output, arguments: &RunArgs) -> crate::Result {
    enter(arguments.id)?;
    if output.is_json() {
        let task = Task {
            pid: std::process::id() as libc::pid_t,
            id: arguments.id,
        };
        to_stderr(&Document::Run(task).line());
    }
    Err(vec![become_command(&arguments.command)])
}

/// Moves this process, of one thread so far, into the beancounter `id`.
fn enter(id: BcId) -> crate::Result {
    set_bcid(id, Target::PROCESS, SetFlags::empty()).map_err(|error| {
        vec![Failure::of_call(
            &format!("cannot enter beancounter {id}"),
            error,
        )]
    })
}

/// Replaces this process by the command; returns only why that failed.
fn become_command(command: &[OsString]) -> Failure {
    // The library's own exec would reset SIGPIPE and the signal mask.
    // An argument of this process cannot hold a zero byte.
    let strings: Vec<CString> = command
        .iter()
        .filter_map(|argument| CString::new(argument.as_bytes()).ok())
        .collect();
    let mut pointers: Vec<*const libc::c_char> =
        strings.iter().map(|string| string.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: the pointers are to live strings, the first being the command's
    // name, as the command line asks for at least one, and end with null.
    unsafe { libc::execvp(pointers[0], pointers.as_ptr()) };
    refusal(&command[0], Errno::last())
}

fn refusal(name: &OsString, errno: Errno) -> Failure {
    let (status, meaning) = match errno.raw() {
        libc::ENOENT => (
            NOT_FOUND,
            "it is not found, or the interpreter it names is not",
        ),
        libc::EACCES => (NOT_EXECUTABLE, "it is not an executable file"),
        libc::E2BIG => (
            NOT_EXECUTABLE,
            "its arguments and environment are too large",
        ),
        _ => (NOT_EXECUTABLE, "the system does not execute it"),
    };
    let message = format!(
        "cannot run '{}': {meaning} ({errno}); valid: a command of PATH, or the path of an \
         executable file",
        name.to_string_lossy()
    );
    Failure::of_errno(message, errno, status)
}
