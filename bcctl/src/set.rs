// SPDX-License-Identifier: GPL-2.0-only
//! `bcctl set`.

use crate::cli::SetArgs;
use crate::limits::{apply, check, document, exists};
use crate::output::{Document, Failure, Output, Step};
use beancounter::may_limit;

pub fn set(output: &Output, arguments: &SetArgs) -> crate::Result {
    let id = arguments.id;
    check(id, &arguments.limits)?;
    if arguments.dry_run.dry_run {
        return dry_run(output, arguments);
    }
    let (done, result) = apply(id, &arguments.limits);
    if !done.is_empty() {
        output.answer(&Document::Set(&document(id, done)), || {
            let lines: Vec<String> = done.iter().map(|it| format!("{id}: {it}\n")).collect();
            lines.concat()
        })?;
    }
    result
}

fn dry_run(output: &Output, arguments: &SetArgs) -> crate::Result {
    let id = arguments.id;
    let refused = |error| {
        let what = format!("cannot set limits of beancounter {id}");
        vec![Failure::of_call(&what, error)]
    };
    may_limit().map_err(refused)?;
    let mut steps = Vec::new();
    if !exists(id).map_err(refused)? {
        steps.push(Step::Create { id });
    }
    steps.push(Step::Set(document(id, &arguments.limits)));
    output.plan(&steps)
}
