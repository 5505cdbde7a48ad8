// SPDX-License-Identifier: GPL-2.0-only
//! `bcctl attach`.

use crate::cli::AttachArgs;
use crate::get::{lines, open};
use crate::output::{Document, Failure, Output, Task};
use beancounter::{SetFlags, set_bcid};

pub fn attach(output: &Output, arguments: &AttachArgs) -> crate::Result {
    let id = arguments.id;
    // All are looked up before the first is moved: a wrong number moves none.
    let handles = open(&arguments.pids, &arguments.tasks, |pid| {
        format!("cannot move {pid} into beancounter {id}")
    })?;
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
