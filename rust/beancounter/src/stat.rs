// SPDX-License-Identifier: GPL-2.0-only
//! What `get_bcstat` tells.

use crate::resource::Unit;
use crate::sys::uapi;
use crate::{BcId, Resource};

/// Whose counters to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatOf {
    /// The beancounter that the calling task is in; anyone may.
    Own,
    /// The beancounter of this id; another than the own needs
    /// `CAP_SYS_RESOURCE` in the initial user namespace.
    Id(BcId),
}

impl StatOf {
    pub(crate) fn raw(self) -> u32 {
        match self {
            StatOf::Own => uapi::BCID_SELF,
            StatOf::Id(id) => id.get(),
        }
    }
}

impl From<BcId> for StatOf {
    fn from(id: BcId) -> Self {
        StatOf::Id(id)
    }
}

/// The counters of one resource of a beancounter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Stat {
    /// Number of the resource.
    pub number: u32,
    /// Name of the resource, as the kernel gives it.
    pub name: String,
    /// Unit of `held` to `limit` and of `forced`; `None` for a unit that this
    /// crate does not know.
    pub unit: Option<Unit>,
    /// Whether the kernel charges the resource to this id.
    pub enforced: bool,
    /// What is charged now.
    pub held: u64,
    /// Highest `held` since creation or the last reset.
    pub maxheld: u64,
    /// Lowest `held` since creation or the last reset.
    pub minheld: u64,
    /// The bound of ordinary charges.
    pub barrier: u64,
    /// The bound of charges that the kernel would rather not refuse.
    pub limit: u64,
    /// Charges refused since creation.
    pub failcnt: u64,
    /// Times that `held` rose over `barrier`.
    pub barrier_hits: u64,
    /// Sum of the charges that could not be refused.
    pub forced: u64,
}

impl Stat {
    /// The resource, if this crate knows it.
    pub fn resource(&self) -> Option<Resource> {
        Resource::from_number(self.number)
    }
}

impl From<uapi::bc_stat> for Stat {
    fn from(raw: uapi::bc_stat) -> Self {
        let name: Vec<u8> = raw
            .name
            .iter()
            .map(|&byte| byte as u8)
            .take_while(|&byte| byte != 0)
            .collect();
        let unit = match raw.flags & (uapi::BC_RES_BYTES | uapi::BC_RES_PAGES | uapi::BC_RES_COUNT)
        {
            uapi::BC_RES_BYTES => Some(Unit::Bytes),
            uapi::BC_RES_PAGES => Some(Unit::Pages),
            uapi::BC_RES_COUNT => Some(Unit::Count),
            _ => None,
        };
        Self {
            number: raw.resource,
            name: String::from_utf8_lossy(&name).into_owned(),
            unit,
            enforced: raw.flags & uapi::BC_RES_ENFORCED != 0,
            held: raw.held,
            maxheld: raw.maxheld,
            minheld: raw.minheld,
            barrier: raw.barrier,
            limit: raw.limit,
            failcnt: raw.failcnt,
            barrier_hits: raw.barrier_hits,
            forced: raw.forced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(name: [u8; 16], flags: u32) -> uapi::bc_stat {
        uapi::bc_stat {
            resource: 5,
            flags,
            name: name.map(|byte| byte as _),
            held: 1,
            maxheld: 2,
            minheld: 3,
            barrier: 4,
            limit: 5,
            failcnt: 6,
            barrier_hits: 7,
            forced: 8,
        }
    }

    #[test]
    fn every_field_arrives() {
        let stat = Stat::from(raw(*b"numproc\0\0\0\0\0\0\0\0\0", 0x4 | 0x8));
        assert_eq!(
            stat,
            Stat {
                number: 5,
                name: "numproc".into(),
                unit: Some(Unit::Count),
                enforced: true,
                held: 1,
                maxheld: 2,
                minheld: 3,
                barrier: 4,
                limit: 5,
                failcnt: 6,
                barrier_hits: 7,
                forced: 8,
            }
        );
        assert_eq!(stat.resource(), Some(Resource::NumProc));
    }

    #[test]
    fn own_is_no_id() {
        assert_eq!(StatOf::Own.raw(), 0xffff_ffff);
        assert_eq!(StatOf::from(BcId::MAX).raw(), 0x7fff_ffff);
    }

    proptest! {
        #[test]
        fn any_record_is_read(name: [u8; 16], flags: u32) {
            let stat = Stat::from(raw(name, flags));
            prop_assert!(!stat.name.contains('\0'));
            prop_assert_eq!(stat.enforced, flags & 0x8 != 0);
            prop_assert_eq!(stat.unit.is_some(), (flags & 0x7).count_ones() == 1);
        }
    }
}
