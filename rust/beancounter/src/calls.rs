// SPDX-License-Identifier: GPL-2.0-only
//! The four calls.

use crate::sys::{self, uapi};
use crate::{BcId, Call, Errno, Error, ErrorKind, Limits, Stat, StatOf, Target};

bitflags::bitflags! {
    /// Flags of [`set_bcid`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct SetFlags: u32 {
        /// Refuse an id that is not in use.
        const NOCREATE = uapi::BC_SET_NOCREATE;
        /// Refuse an id that is in use.
        const EXCL = uapi::BC_SET_EXCL;
    }

    /// Flags of [`set_bclimit`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct LimitFlags: u32 {
        /// Refuse an id that is not in use.
        const NOCREATE = uapi::BC_LIMIT_NOCREATE;
    }

    /// Flags of [`get_bcstat`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct StatFlags: u32 {
        /// After reading, restart `maxheld` and `minheld` at `held`.
        const RESET = uapi::BC_STAT_RESET;
    }
}

/// The id of the beancounter that a task is in.
///
/// Another process's needs the right to trace it for reading.
pub fn get_bcid<'fd>(target: impl Into<Target<'fd>>) -> Result<BcId, Error> {
    let fail = |errno| Error::new(Call::GetBcid, errno);
    let id = sys::get_bcid(target.into().raw(), 0).map_err(fail)?;
    // A negative answer is an error, so all that comes here is an id.
    u32::try_from(id)
        .ok()
        .and_then(|id| BcId::new(id).ok())
        .ok_or(fail(Errno::from_raw(libc::EOVERFLOW)))
}

/// Moves a task or a whole process into the beancounter `id`, which comes into
/// being if no task is in it yet; [`BcId::HOST`] takes it out of any.
///
/// What the process starts from then on is in that beancounter too.  Needs
/// `CAP_SYS_RESOURCE` in the initial user namespace and the right to trace the
/// task.
///
/// ```no_run
/// use beancounter::{BcId, ErrorKind, PidHandle, SetFlags, set_bcid};
///
/// // Join only if the beancounter exists.
/// let handle = PidHandle::open(812)?;
/// match set_bcid(BcId::new(100)?, &handle, SetFlags::NOCREATE) {
///     Err(error) if error.kind() == ErrorKind::NoSuchBeancounter => println!("not there"),
///     other => other?,
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn set_bcid<'fd>(
    id: BcId,
    target: impl Into<Target<'fd>>,
    flags: SetFlags,
) -> Result<(), Error> {
    sys::set_bcid(id.get(), target.into().raw(), flags.bits())
        .map_err(|errno| Error::new(Call::SetBcid, errno))
}

/// Sets both bounds of a resource of the beancounter `id`, which comes into
/// being if there is none, and from then on exists until [`unpin`].
///
/// ```no_run
/// use beancounter::{BcId, LimitFlags, Limits, Resource, set_bclimit};
///
/// let limits = Limits::new(40, 50)?;
/// set_bclimit(BcId::new(100)?, Resource::NumProc, limits, LimitFlags::empty())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn set_bclimit(
    id: BcId,
    resource: impl Into<u32>,
    limits: Limits,
    flags: LimitFlags,
) -> Result<(), Error> {
    sys::set_bclimit(
        id.get(),
        resource.into(),
        Some(&limits.into()),
        flags.bits(),
    )
    .map_err(|errno| explained(Call::SetBclimit, errno))
}

/// EOPNOTSUPP of these calls stands for two things.
fn explained(call: Call, errno: Errno) -> Error {
    if errno.raw() == libc::EOPNOTSUPP && support() == Support::Off {
        return Error::disabled(call);
    }
    Error::new(call, errno)
}

/// Drops what keeps the beancounter `id` alive because limits were set: it
/// ends when nothing uses it.
pub fn unpin(id: BcId) -> Result<(), Error> {
    sys::set_bclimit(id.get(), 0, None, uapi::BC_LIMIT_UNPIN)
        .map_err(|errno| explained(Call::SetBclimit, errno))
}

/// The counters of one resource of a beancounter.
///
/// ```no_run
/// use beancounter::{Resource, StatFlags, StatOf, get_bcstat};
///
/// let stat = get_bcstat(StatOf::Own, Resource::NumProc, StatFlags::empty())?;
/// println!("{} of {} processes", stat.held, stat.limit);
/// # Ok::<(), beancounter::Error>(())
/// ```
pub fn get_bcstat(
    of: impl Into<StatOf>,
    resource: impl Into<u32>,
    flags: StatFlags,
) -> Result<Stat, Error> {
    sys::get_bcstat(of.into().raw(), resource.into(), flags.bits())
        .map(Stat::from)
        .map_err(|errno| explained(Call::GetBcstat, errno))
}

/// The counters of all resources that the running kernel is built with, newer
/// ones than this crate included.
///
/// ```no_run
/// use beancounter::{StatOf, resources};
///
/// for stat in resources(StatOf::Own)? {
///     println!("{:12} {}", stat.name, stat.held);
/// }
/// # Ok::<(), beancounter::Error>(())
/// ```
pub fn resources(of: impl Into<StatOf>) -> Result<Vec<Stat>, Error> {
    let of = of.into();
    let mut stats = Vec::new();
    for number in 0u32.. {
        match get_bcstat(of, number, StatFlags::empty()) {
            Ok(stat) => stats.push(stat),
            // Reserved, or not built in.
            Err(error) if error.kind() == ErrorKind::NotCounted => {}
            // The first number that the kernel does not know.  Number 0 is
            // known to all, so there it is something else.
            Err(error) if error.kind() == ErrorKind::Invalid && number > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(stats)
}

/// Whether the running kernel has beancounters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Support {
    /// It has, and they are on.
    On,
    /// It has, but was booted with `bc=off`.
    Off,
    /// It was built without them.
    NotBuilt,
    /// Something between the caller and the kernel answers, such as a seccomp
    /// filter.
    Unknown,
}

/// Asks whether the running kernel has beancounters.  Changes nothing.
///
/// ```
/// use beancounter::{Support, support};
///
/// if support() == Support::NotBuilt {
///     println!("this kernel has no beancounters");
/// }
/// ```
pub fn support() -> Support {
    // Anyone may read this, and numproc is counted wherever anything is.
    match sys::get_bcstat(uapi::BCID_SELF, uapi::BC_NUMPROC, 0).map_err(Errno::raw) {
        Ok(_) => Support::On,
        Err(libc::EOPNOTSUPP) => Support::Off,
        Err(libc::ENOSYS) => Support::NotBuilt,
        _ => Support::Unknown,
    }
}

/// Asks whether the caller may create beancounters and move tasks of its own
/// into them.  Changes nothing.
///
/// ```
/// if let Err(error) = beancounter::may_move() {
///     println!("{error}");
/// }
/// ```
pub fn may_move() -> Result<(), Error> {
    // -1 names no task, so that nothing is moved: the kernel looks for it after
    // all that could be wrong with the caller.
    match sys::set_bcid(uapi::BCID_HOST, -1, 0) {
        Ok(()) => Ok(()),
        Err(errno) if errno.raw() == libc::EBADF => Ok(()),
        Err(errno) => Err(Error::new(Call::SetBcid, errno)),
    }
}

/// Asks whether the caller may set limits and [`unpin`].  Changes nothing.
///
/// ```
/// if let Err(error) = beancounter::may_limit() {
///     println!("{error}");
/// }
/// ```
pub fn may_limit() -> Result<(), Error> {
    // The host has no limits; the kernel says so after it has looked at the
    // caller, but before it looks whether beancounters are on.
    match unpin(BcId::HOST) {
        Err(error) if error.kind() == ErrorKind::Invalid => match support() {
            Support::Off => Err(Error::disabled(Call::SetBclimit)),
            _ => Ok(()),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PidHandle, Resource};

    /// Each call reaches the kernel: it answers, or says that it has none.
    #[test]
    fn calls_answer_or_are_missing() {
        let supported = support() != Support::NotBuilt;
        let check = |answer: Result<(), Error>| match answer {
            Ok(()) => assert!(supported),
            Err(error) => assert_eq!(
                error.kind() == ErrorKind::NotSupportedByKernel,
                !supported,
                "{error}"
            ),
        };
        let me = PidHandle::open(std::process::id() as libc::pid_t).unwrap();
        let id = BcId::MAX;
        check(get_bcid(Target::THREAD).map(drop));
        check(get_bcid(Target::PROCESS).map(drop));
        check(get_bcid(&me).map(drop));
        // Flags that contradict each other: refused before anything happens.
        check(set_bcid(id, &me, SetFlags::all()));
        check(set_bclimit(
            BcId::HOST,
            Resource::NumProc,
            Limits::UNLIMITED,
            LimitFlags::empty(),
        ));
        check(unpin(BcId::HOST));
        check(get_bcstat(StatOf::Own, Resource::NumProc, StatFlags::empty()).map(drop));
        check(resources(StatOf::Own).map(drop));
        check(may_move());
        check(may_limit());
    }

    #[test]
    fn a_file_is_no_pidfd() {
        if support() == Support::NotBuilt {
            let error = get_bcid(Target::PROCESS).unwrap_err();
            assert_eq!(error.errno(), Errno::from_raw(libc::ENOSYS));
            return;
        }
        let file = std::fs::File::open("/dev/null").unwrap();
        let handle = PidHandle::from(std::os::fd::OwnedFd::from(file));
        let error = get_bcid(&handle).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAPidfd);
    }
}
