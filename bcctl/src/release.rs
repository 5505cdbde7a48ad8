// SPDX-License-Identifier: GPL-2.0-only
//! `bcctl release`.

use crate::cli::ReleaseArgs;
use crate::output::{Document, Failure, Output, Step};
use beancounter::{Resource, StatFlags, get_bcstat, may_limit, unpin};

pub fn release(output: &Output, arguments: &ReleaseArgs) -> crate::Result {
    let id = arguments.id;
    let refused = |error| {
        let what = format!("cannot release beancounter {id}");
        vec![Failure::of_call(&what, error)]
    };
    if arguments.dry_run.dry_run {
        may_limit().map_err(refused)?;
        get_bcstat(id, Resource::NumProc, StatFlags::empty()).map_err(refused)?;
        return output.plan(&[Step::Release { id }]);
    }
    unpin(id).map_err(refused)?;
    output.answer(&Document::Release { id }, || format!("{id}: released\n"))
}
