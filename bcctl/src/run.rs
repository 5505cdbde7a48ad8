// SPDX-License-Identifier: GPL-2.0-only
//! `bcctl run`.

use crate::cli::RunArgs;
use crate::limits::{apply, check, document, exists};
use crate::output::{Document, Failure, Output, Step, Task, to_stderr};
use beancounter::{
    BcId, Errno, ErrorKind, Resource, SetFlags, Setting, StatFlags, Target, get_bcstat, may_move,
    set_bcid, unpin,
};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// As of env(1).
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// How long a beancounter without tasks may take to end.
const ENDING: Duration = Duration::from_secs(1);

pub fn run(output: &Output, arguments: &RunArgs) -> crate::Result {
    let (id, limits) = (arguments.id, arguments.limits.as_slice());
    check(id, limits)?;
    if arguments.dry_run.dry_run {
        return dry_run(output, arguments);
    }
    if limits.is_empty() {
        enter(id)?;
    } else if !arguments.keep && create(id)? {
        limit_new(id, limits)?;
    } else {
        apply(id, limits).1?;
        enter(id)?;
    }
    if output.is_json() {
        let task = Task {
            pid: std::process::id() as libc::pid_t,
            id: arguments.id,
        };
        to_stderr(&Document::Run(task).line());
    }
    Err(vec![become_command(&arguments.command)])
}

fn refused(id: BcId) -> impl Fn(beancounter::Error) -> Vec<Failure> {
    move |error| {
        let what = format!("cannot enter beancounter {id}");
        vec![Failure::of_call(&what, error)]
    }
}

/// Moves this process, of one thread so far, into the beancounter `id`.
fn enter(id: BcId) -> crate::Result {
    set_bcid(id, Target::PROCESS, SetFlags::empty()).map_err(refused(id))
}

/// Creates the beancounter `id` and enters it; `false` if it is there already.
fn create(id: BcId) -> crate::Result<bool> {
    let until = Instant::now() + ENDING;
    loop {
        match set_bcid(id, Target::PROCESS, SetFlags::EXCL) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::Exists => {}
            Err(error) => return Err(refused(id)(error)),
        }
        // One whose last task has just exited is there until the kernel has
        // freed it.  It looks as one that is kept for its limits.
        let stat = get_bcstat(id, Resource::NumProc, StatFlags::empty());
        if stat.is_ok_and(|stat| stat.held > 0) || Instant::now() >= until {
            return Ok(false);
        }
        sleep(Duration::from_millis(10));
    }
}

/// Sets the bounds of a beancounter that this process has created and is in,
/// and lets it end with its last task.
// That is done before the command runs, for nobody is left to do it when it has
// ended: this process becomes the command.  Until then it is in use by its
// tasks, limits and all.
fn limit_new(id: BcId, limits: &[Setting]) -> crate::Result {
    let (_, limited) = apply(id, limits);
    let released = unpin(id).map_err(|error| {
        let what = format!("cannot release beancounter {id}");
        vec![Failure::of_call(&what, error)]
    });
    limited.and(released)
}

fn dry_run(output: &Output, arguments: &RunArgs) -> crate::Result {
    let id = arguments.id;
    may_move().map_err(refused(id))?;
    let new = !exists(id).map_err(refused(id))?;
    let mut steps = Vec::new();
    if new {
        steps.push(Step::Create { id });
    }
    if !arguments.limits.is_empty() {
        steps.push(Step::Set(document(id, &arguments.limits)));
        if new && !arguments.keep {
            steps.push(Step::Release { id });
        }
    }
    let command = arguments.command.iter();
    steps.push(Step::Run {
        id,
        command: command
            .map(|it| it.to_string_lossy().into_owned())
            .collect(),
    });
    output.plan(&steps)
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
