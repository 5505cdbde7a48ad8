// SPDX-License-Identifier: GPL-2.0-only
//! Naming a task.

use crate::{Call, Error, sys};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A handle on a process or a thread: a pidfd.  Unlike a number it never comes
/// to mean another task.
///
/// ```
/// use beancounter::{ErrorKind, PidHandle};
///
/// let me = PidHandle::open(std::process::id().try_into()?)?;
/// # let _ = me;
/// let error = PidHandle::open(i32::MAX).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NoSuchTask);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PidHandle(OwnedFd);

impl PidHandle {
    /// The process `pid`: all its threads.
    pub fn open(pid: libc::pid_t) -> Result<Self, Error> {
        Self::open_as(pid, false)
    }

    /// The single thread `tid`.
    pub fn open_thread(tid: libc::pid_t) -> Result<Self, Error> {
        Self::open_as(tid, true)
    }

    fn open_as(number: libc::pid_t, thread: bool) -> Result<Self, Error> {
        let fd =
            sys::pidfd_open(number, thread).map_err(|errno| Error::new(Call::PidfdOpen, errno))?;
        // SAFETY: pidfd_open just made this descriptor and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

impl AsFd for PidHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A pidfd that came from elsewhere, for example from `clone3`.  If the
/// descriptor is something else, the calls answer EBADF.
impl From<OwnedFd> for PidHandle {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<PidHandle> for OwnedFd {
    fn from(handle: PidHandle) -> Self {
        handle.0
    }
}

/// The task that a call is about: a handle or the caller itself.
///
/// ```no_run
/// use beancounter::{PidHandle, Target, get_bcid};
///
/// let mine = get_bcid(Target::PROCESS)?;
/// let theirs = get_bcid(&PidHandle::open(1)?)?;
/// # let _ = (mine, theirs);
/// # Ok::<(), beancounter::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Target<'fd> {
    fd: RawFd,
    handle: PhantomData<BorrowedFd<'fd>>,
}

impl Target<'static> {
    /// The calling thread.
    pub const THREAD: Self = Self::special(sys::PIDFD_SELF_THREAD);
    /// The calling process, all its threads.
    pub const PROCESS: Self = Self::special(sys::PIDFD_SELF_THREAD_GROUP);

    const fn special(fd: RawFd) -> Self {
        Self {
            fd,
            handle: PhantomData,
        }
    }
}

impl Target<'_> {
    pub(crate) fn raw(self) -> RawFd {
        self.fd
    }
}

impl<'fd> From<BorrowedFd<'fd>> for Target<'fd> {
    fn from(fd: BorrowedFd<'fd>) -> Self {
        Self {
            fd: fd.as_raw_fd(),
            handle: PhantomData,
        }
    }
}

impl<'fd> From<&'fd PidHandle> for Target<'fd> {
    fn from(handle: &'fd PidHandle) -> Self {
        handle.as_fd().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Errno, ErrorKind};

    fn own_tid() -> libc::pid_t {
        // SAFETY: gettid has no arguments and cannot fail.
        unsafe { libc::gettid() }
    }

    #[test]
    fn process_and_thread() {
        // The test runs in a thread of its own, so its number is no process's.
        std::thread::spawn(|| {
            assert!(PidHandle::open_thread(own_tid()).is_ok());
            let error = PidHandle::open(own_tid()).unwrap_err();
            assert!(
                [ErrorKind::NotAProcess, ErrorKind::Invalid].contains(&error.kind()),
                "{error}"
            );
        })
        .join()
        .unwrap();
    }

    #[test]
    fn numbers_out_of_range() {
        for number in [0, -1, i32::MIN] {
            let error = PidHandle::open(number).unwrap_err();
            assert_eq!(error.errno(), Errno::from_raw(libc::EINVAL));
        }
    }

    #[test]
    fn special_targets_are_no_descriptors() {
        assert_eq!(Target::THREAD.raw(), -10000);
        assert_eq!(Target::PROCESS.raw(), -10001);
    }
}
