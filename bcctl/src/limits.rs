// SPDX-License-Identifier: GPL-2.0-only
//! Setting bounds: what `set` and `run --limit` share.

use crate::output::{Failure, Limit, Set};
use beancounter::{
    BcId, ErrorKind, LimitFlags, Resource, Setting, StatFlags, StatOf, get_bcstat, set_bclimit,
};

/// Fails unless the kernel counts each of the resources.  Changes nothing.
pub fn check(id: BcId, settings: &[Setting]) -> crate::Result {
    let failures: Vec<Failure> = settings
        .iter()
        .filter_map(|setting| {
            // Everybody may read what the own beancounter holds.
            let stat = get_bcstat(StatOf::Own, setting.resource, StatFlags::empty());
            Some(failure(id, setting, stat.err()?))
        })
        .collect();
    if failures.is_empty() {
        return Ok(());
    }
    Err(failures)
}

/// Sets the bounds one after the other; says which were set before one was
/// refused.
pub fn apply(id: BcId, settings: &[Setting]) -> (&[Setting], crate::Result) {
    for (index, setting) in settings.iter().enumerate() {
        let (resource, limits) = (setting.resource, setting.limits);
        if let Err(error) = set_bclimit(id, resource, limits, LimitFlags::empty()) {
            return (&settings[..index], Err(vec![failure(id, setting, error)]));
        }
    }
    (settings, Ok(()))
}

fn failure(id: BcId, setting: &Setting, error: beancounter::Error) -> Failure {
    let resource = setting.resource;
    Failure::of_call(&format!("cannot set {resource} of beancounter {id}"), error)
}

/// The bounds as a document has them.
pub fn document(id: BcId, settings: &[Setting]) -> Set {
    Set {
        id,
        limits: settings.iter().map(Limit::from).collect(),
    }
}

/// Whether there is a beancounter with this id.  Changes nothing.
pub fn exists(id: BcId) -> Result<bool, beancounter::Error> {
    match get_bcstat(StatOf::Id(id), Resource::NumProc, StatFlags::empty()) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NoSuchBeancounter => Ok(false),
        Err(error) => Err(error),
    }
}
