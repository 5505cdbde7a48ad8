// SPDX-License-Identifier: GPL-2.0-only
//! The bare calls: numbers, structures and the one place that enters the
//! kernel.

use crate::Errno;
use libc::{c_int, c_long};

/// The series' uapi header.
#[allow(
    dead_code,
    missing_docs,
    non_camel_case_types,
    unreachable_pub,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]
pub(crate) mod uapi {
    include!(concat!(env!("OUT_DIR"), "/uapi.rs"));
}

// Most architectures share one range of numbers; MIPS adds a base an ABI.
#[cfg(any(target_arch = "mips", target_arch = "mips32r6"))]
const BASE: c_long = 4000;
#[cfg(all(
    any(target_arch = "mips64", target_arch = "mips64r6"),
    target_pointer_width = "64"
))]
const BASE: c_long = 5000;
#[cfg(all(
    any(target_arch = "mips64", target_arch = "mips64r6"),
    target_pointer_width = "32"
))]
const BASE: c_long = 6000;
// x32 marks its calls with a bit.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "32"))]
const BASE: c_long = 0x4000_0000;
#[cfg(not(any(
    target_arch = "mips",
    target_arch = "mips32r6",
    target_arch = "mips64",
    target_arch = "mips64r6",
    all(target_arch = "x86_64", target_pointer_width = "32")
)))]
const BASE: c_long = 0;

const NR_GET_BCID: c_long = BASE + 473;
const NR_SET_BCID: c_long = BASE + 474;
const NR_SET_BCLIMIT: c_long = BASE + 475;
const NR_GET_BCSTAT: c_long = BASE + 476;

/// `PIDFD_SELF_THREAD` of linux/pidfd.h: the calling thread.
pub(crate) const PIDFD_SELF_THREAD: c_int = -10000;
/// `PIDFD_SELF_THREAD_GROUP`: the calling process.
pub(crate) const PIDFD_SELF_THREAD_GROUP: c_int = -10001;
/// `PIDFD_THREAD`: a pidfd of one thread.
const PIDFD_THREAD: c_int = libc::O_EXCL;

/// The low half of a call's answer or its error.
fn answer(value: c_long) -> Result<c_int, Errno> {
    if value < 0 {
        Err(Errno::last())
    } else {
        // A descriptor, an id up to INT_MAX or 0: all fit.
        Ok(value as c_int)
    }
}

pub(crate) fn pidfd_open(pid: libc::pid_t, thread: bool) -> Result<c_int, Errno> {
    let flags = if thread { PIDFD_THREAD } else { 0 };
    // SAFETY: pidfd_open takes two integers and touches no memory of ours.
    answer(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) })
}

pub(crate) fn get_bcid(pidfd: c_int, flags: u32) -> Result<c_int, Errno> {
    // SAFETY: get_bcid takes two integers and touches no memory of ours.
    answer(unsafe { libc::syscall(NR_GET_BCID, pidfd, flags) })
}

pub(crate) fn set_bcid(id: u32, pidfd: c_int, flags: u32) -> Result<(), Errno> {
    // SAFETY: set_bcid takes three integers and touches no memory of ours.
    answer(unsafe { libc::syscall(NR_SET_BCID, id, pidfd, flags) }).map(drop)
}

pub(crate) fn set_bclimit(
    id: u32,
    resource: u32,
    limit: Option<&uapi::bc_limit>,
    flags: u32,
) -> Result<(), Errno> {
    let (pointer, size) = match limit {
        Some(limit) => (std::ptr::from_ref(limit), size_of::<uapi::bc_limit>()),
        None => (std::ptr::null(), 0),
    };
    // SAFETY: the kernel reads `size` bytes at `pointer`, which are a live
    // bc_limit or none.
    answer(unsafe { libc::syscall(NR_SET_BCLIMIT, id, resource, pointer, size, flags) }).map(drop)
}

pub(crate) fn get_bcstat(id: u32, resource: u32, flags: u32) -> Result<uapi::bc_stat, Errno> {
    let mut stat = uapi::bc_stat::default();
    let pointer = std::ptr::from_mut(&mut stat);
    let size = size_of::<uapi::bc_stat>();
    // SAFETY: the kernel writes at most `size` bytes at `pointer`, our own
    // bc_stat, whose fields are integers: every bit pattern is a value.
    answer(unsafe { libc::syscall(NR_GET_BCSTAT, id, resource, pointer, size, flags) })?;
    Ok(stat)
}

#[cfg(test)]
mod tests {
    use super::uapi;

    #[test]
    fn structures_have_the_first_versions_size() {
        assert_eq!(
            size_of::<uapi::bc_limit>(),
            uapi::BC_LIMIT_SIZE_VER0 as usize
        );
        assert_eq!(size_of::<uapi::bc_stat>(), uapi::BC_STAT_SIZE_VER0 as usize);
    }
}
