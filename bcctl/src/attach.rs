// SPDX-License-Identifier: GPL-2.0-only
//! `bcctl attach`.

use crate::cli::AttachArgs;
use crate::get::{lines, open};
use crate::limits::exists;
use crate::output::{Document, Failure, Output, Step, Task};
use beancounter::{BcId, SetFlags, may_move, set_bcid};
use libc::pid_t;

pub fn attach(output: &Output, arguments: &AttachArgs) -> crate::Result {
    let id = arguments.id;
    // All are looked up before the first is moved: a wrong number moves none.
    let handles = open(&arguments.pids, &arguments.tasks, |pid| {
        format!("cannot move {pid} into beancounter {id}")
    })?;
    if arguments.dry_run.dry_run {
        return dry_run(output, id, &arguments.pids);
    }
    let mut moved = Vec::new();
    let mut failures = Vec::new();
    for (&pid, handle) in arguments.pids.iter().zip(&handles) {
        match set_bcid(id, handle, SetFlags::empty()) {
            Ok(()) => moved.push(Task { pid, id }),
            Err(error) => failures.push(Failure::of_call(
                &format!("cannot move {pid} into beancounter {id}"),
                error,
            )),
        }
    }
    if failures.is_empty() || !moved.is_empty() {
        output.answer(&Document::Tasks(&moved), || lines(&moved))?;
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(failures)
}

fn dry_run(output: &Output, id: BcId, pids: &[pid_t]) -> crate::Result {
    let refused = |error| {
        let what = format!("cannot move tasks into beancounter {id}");
        vec![Failure::of_call(&what, error)]
    };
    may_move().map_err(refused)?;
    let mut steps = Vec::new();
    if !exists(id).map_err(refused)? {
        steps.push(Step::Create { id });
    }
    steps.extend(pids.iter().map(|&pid| Step::Move(Task { pid, id })));
    output.plan(&steps)
}
