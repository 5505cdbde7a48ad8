// SPDX-License-Identifier: GPL-2.0-only
//! `bcctl get`.

use crate::cli::{GetArgs, Tasks};
use crate::output::{Document, Failure, Output, Task};
use beancounter::{PidHandle, Target, get_bcid};
use libc::pid_t;

pub fn get(output: &Output, arguments: &GetArgs) -> crate::Result {
    if arguments.pids.is_empty() {
        let id = get_bcid(Target::PROCESS)
            .map_err(|error| vec![Failure::of_call("cannot read the own id", error)])?;
        let pid = std::process::id() as pid_t;
        return output.answer(&Document::Tasks(&[Task { pid, id }]), || format!("{id}\n"));
    }

    let what = |pid| format!("cannot read the id of {pid}");
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for &pid in &arguments.pids {
        let id = handle(pid, &arguments.tasks).and_then(|handle| get_bcid(&handle));
        match id {
            Ok(id) => found.push(Task { pid, id }),
            Err(error) => failures.push(Failure::of_call(&what(pid), error)),
        }
    }
    if !found.is_empty() {
        output.answer(&Document::Tasks(&found), || lines(&found))?;
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(failures)
}

fn handle(number: pid_t, tasks: &Tasks) -> Result<PidHandle, beancounter::Error> {
    if tasks.thread {
        PidHandle::open_thread(number)
    } else {
        PidHandle::open(number)
    }
}

/// Handles on all of `pids`, or what is wrong with each that has none.
pub fn open(
    pids: &[pid_t],
    tasks: &Tasks,
    what: impl Fn(pid_t) -> String,
) -> crate::Result<Vec<PidHandle>> {
    let mut handles = Vec::new();
    let mut failures = Vec::new();
    for &pid in pids {
        match handle(pid, tasks) {
            Ok(handle) => handles.push(handle),
            Err(error) => failures.push(Failure::of_call(&what(pid), error)),
        }
    }
    if failures.is_empty() {
        return Ok(handles);
    }
    Err(failures)
}

/// A line a task.
pub fn lines(tasks: &[Task]) -> String {
    let mut text = String::new();
    for task in tasks {
        text += &format!("{}: {}\n", task.pid, task.id);
    }
    text
}
