// SPDX-License-Identifier: GPL-2.0-only
//! Resource beancounters of Linux from user space: the calls [`get_bcid`],
//! [`set_bcid`], [`set_bclimit`] and [`get_bcstat`] with types that rule out
//! most wrong arguments, and [`list`], a reader of `/proc/user_beancounters`.
//!
//! A *beancounter* (BC) is a number that a group of tasks shares: what these
//! tasks take from the kernel is counted for that number and can be limited.
//! Id 0 is the host, for which nothing is counted.
//!
//! ```no_run
//! use beancounter::{BcId, PidHandle, SetFlags, Target, get_bcid, set_bcid};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Enter beancounter 100.  Programs started from here on are in it too.
//! let id = BcId::new(100)?;
//! set_bcid(id, Target::PROCESS, SetFlags::empty())?;
//! assert_eq!(get_bcid(Target::PROCESS)?, id);
//!
//! // Put a running process back to the host.
//! let shell = PidHandle::open(812)?;
//! set_bcid(BcId::HOST, &shell, SetFlags::empty())?;
//! # Ok(())
//! # }
//! ```
//!
//! Limits have the form in which people write them, checked before the kernel
//! sees them:
//!
//! ```no_run
//! use beancounter::{BcId, LimitFlags, Setting, StatFlags, get_bcstat, set_bclimit, unpin};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // At most 50 tasks; from the 41st on, fork fails with EAGAIN.
//! let id = BcId::new(100)?;
//! let setting: Setting = "numproc=40:50".parse()?;
//! set_bclimit(id, setting.resource, setting.limits, LimitFlags::empty())?;
//! let stat = get_bcstat(id, setting.resource, StatFlags::empty())?;
//! println!("{} tasks, {} forks refused", stat.held, stat.failcnt);
//!
//! // It need not outlive its last task any more.
//! unpin(id)?;
//! # Ok(())
//! # }
//! ```
//!
//! The crate builds and its tests pass where the kernel has no beancounters.
//! There, each call answers an error of kind
//! [`ErrorKind::NotSupportedByKernel`]:
//!
//! ```
//! use beancounter::{ErrorKind, Target, get_bcid};
//!
//! match get_bcid(Target::PROCESS) {
//!     Ok(id) => println!("this process is in beancounter {id}"),
//!     Err(error) => {
//!         assert_eq!(error.kind(), ErrorKind::NotSupportedByKernel);
//!         println!("{error}");
//!     }
//! }
//! ```

mod calls;
mod errno;
mod error;
mod id;
mod limits;
mod list;
mod resource;
mod stat;
mod sys;
mod task;

pub use calls::{
    LimitFlags, SetFlags, StatFlags, Support, get_bcid, get_bcstat, may_limit, may_move, resources,
    set_bcid, set_bclimit, support, unpin,
};
pub use errno::Errno;
pub use error::{Call, Error, ErrorKind};
pub use id::{BcId, IdError};
pub use limits::{Bound, BoundError, Limits, LimitsError, Setting, SettingError};
pub use list::{Beancounter, LISTING_PATH, ListError, Listing, ParseError, Row, list};
pub use resource::{Resource, UNLIMITED, Unit};
pub use stat::{Stat, StatOf};
pub use task::{PidHandle, Target};
