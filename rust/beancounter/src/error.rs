// SPDX-License-Identifier: GPL-2.0-only
//! What a refused call means.

use crate::Errno;
use std::fmt;

/// A system call that this crate makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Call {
    /// `pidfd_open`, behind [`PidHandle`](crate::PidHandle).
    PidfdOpen,
    /// `get_bcid`.
    GetBcid,
    /// `set_bcid`.
    SetBcid,
    /// `set_bclimit`.
    SetBclimit,
    /// `get_bcstat`.
    GetBcstat,
}

impl Call {
    /// The call's name, for example `"set_bcid"`.
    pub const fn name(self) -> &'static str {
        match self {
            Call::PidfdOpen => "pidfd_open",
            Call::GetBcid => "get_bcid",
            Call::SetBcid => "set_bcid",
            Call::SetBclimit => "set_bclimit",
            Call::GetBcstat => "get_bcstat",
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What sort of refusal an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The kernel was built without the call (ENOSYS).
    NotSupportedByKernel,
    /// The kernel was booted with `bc=off` (EOPNOTSUPP for every resource).
    Disabled,
    /// The kernel does not count this resource (EOPNOTSUPP of `set_bclimit` and
    /// `get_bcstat`).
    NotCounted,
    /// The caller may not do this (EPERM).
    NotPermitted,
    /// An argument, or the sort of task, is not valid for the call (EINVAL).
    Invalid,
    /// The descriptor is not a pidfd (EBADF).
    NotAPidfd,
    /// The number is that of a thread, not of a process (ENOENT of
    /// `pidfd_open`).
    NotAProcess,
    /// The task does not exist or has exited (ESRCH).
    NoSuchTask,
    /// No beancounter has this id (ENOENT).
    NoSuchBeancounter,
    /// A beancounter has this id already (EEXIST).
    Exists,
    /// As many beancounters exist as the kernel allows (ENOSPC).
    TooMany,
    /// The beancounter has no room for the tasks (EAGAIN of `set_bcid`).
    LimitReached,
    /// What is held keeps the resource from these bounds (EAGAIN or EBUSY of
    /// `set_bclimit`).
    Busy,
    /// The kernel has no memory for it (ENOMEM).
    NoMemory,
    /// Anything else.
    Other,
}

/// A refused call: which one, the error number, and what that means there.
///
/// Its text is one sentence with all of it and what would be valid:
///
/// ```
/// use beancounter::PidHandle;
///
/// let error = PidHandle::open(0).unwrap_err();
/// assert_eq!(error.errno().name(), Some("EINVAL"));
/// assert_eq!(
///     error.to_string(),
///     "pidfd_open: not the number of a process (EINVAL); \
///      valid: 1 to kernel.pid_max, a process by its main thread's number"
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {} ({errno}); valid: {}", self.meaning(), self.valid())]
pub struct Error {
    call: Call,
    errno: Errno,
    /// Whether the kernel was seen to be booted with `bc=off`.
    off: bool,
}

const TASK: &str = "a running task that the caller's pid namespace can name";
const PIDFD: &str = "a pidfd, PIDFD_SELF_THREAD or PIDFD_SELF_THREAD_GROUP";
const PID: &str = "the number of a running process, 1 to kernel.pid_max";
const IDS: &str = "ids 0 (the host) to 2147483647";
const USED_IDS: &str = "the ids that /proc/user_beancounters lists";
const BUILT: &str = "a kernel built with CONFIG_BEANCOUNTERS=y, and no seccomp filter on the call";
const BOUNDS: &str = "ids 1 to 2147483647, a resource number that the kernel knows, \
     0 <= barrier <= limit <= 9223372036854775807";
const COUNTED: &str = "a resource that the kernel is built with";
const DISABLED: (ErrorKind, &str, &str) = (
    ErrorKind::Disabled,
    "beancounters are switched off, the kernel was booted with bc=off",
    "a boot without bc=off",
);
const BC_MAX: &str = "at most kernel.bc_max beancounters (sysctl, 65536 unless set)";
const MEMORY: &str = "the same call once memory is free";

impl Error {
    /// What it means that `call` answers `errno`.
    pub const fn new(call: Call, errno: Errno) -> Self {
        Self {
            call,
            errno,
            off: false,
        }
    }

    /// What `call` answers on a kernel that was booted with `bc=off`.
    pub const fn disabled(call: Call) -> Self {
        Self {
            call,
            errno: Errno::from_raw(libc::EOPNOTSUPP),
            off: true,
        }
    }

    /// The call that was refused.
    pub const fn call(&self) -> Call {
        self.call
    }

    /// The error number it answered.
    pub const fn errno(&self) -> Errno {
        self.errno
    }

    /// What sort of refusal it is.
    pub fn kind(&self) -> ErrorKind {
        self.explain().0
    }

    /// What the error number means for this call.
    pub fn meaning(&self) -> &'static str {
        self.explain().1
    }

    /// What the call would accept.
    pub fn valid(&self) -> &'static str {
        self.explain().2
    }

    fn explain(&self) -> (ErrorKind, &'static str, &'static str) {
        use Call::*;
        use ErrorKind::*;

        match (self.call, self.errno.raw()) {
            _ if self.off => DISABLED,
            (SetBcid, libc::EOPNOTSUPP) => DISABLED,
            (PidfdOpen, libc::ENOSYS) => (
                NotSupportedByKernel,
                "this kernel has no pidfds",
                "Linux 5.3 or newer, and no seccomp filter on the call",
            ),
            (_, libc::ENOSYS) => (
                NotSupportedByKernel,
                "this kernel has no beancounters",
                BUILT,
            ),

            (PidfdOpen, libc::ESRCH) => (NoSuchTask, "no such process", PID),
            (PidfdOpen, libc::EINVAL) => (
                Invalid,
                "not the number of a process",
                "1 to kernel.pid_max, a process by its main thread's number",
            ),
            (PidfdOpen, libc::ENOENT) => (
                NotAProcess,
                "the number is that of a thread, not of a process",
                "a process by its main thread's number, or a thread asked for as one",
            ),
            (PidfdOpen, libc::EMFILE) => (
                Other,
                "the caller has too many open files",
                "at most RLIMIT_NOFILE open files",
            ),
            (PidfdOpen, libc::ENFILE) => (
                Other,
                "the system has too many open files",
                "at most fs.file-max open files",
            ),

            (GetBcid | SetBcid, libc::ESRCH) => (NoSuchTask, "the task has exited", TASK),
            (GetBcid | SetBcid, libc::EBADF) => (NotAPidfd, "the descriptor is not a pidfd", PIDFD),
            (GetBcid, libc::EINVAL) => (Invalid, "the task is in a foreign pid namespace", TASK),
            (GetBcid, libc::EPERM) => (
                NotPermitted,
                "reading another process's id needs the right to trace it for reading",
                "the caller's own threads, or a task that ptrace lets it read",
            ),

            (SetBcid, libc::EINVAL) => (
                Invalid,
                "the task is a kernel thread, a lone io_uring or vhost worker or in a foreign \
                 pid namespace, or the flags contradict each other",
                "ids 0 (the host) to 2147483647, a user task, NOCREATE or EXCL but not both",
            ),
            (SetBcid, libc::EPERM) => (
                NotPermitted,
                "moving a task needs CAP_SYS_RESOURCE in the initial user namespace, the right \
                 to trace the task, and the consent of the security module",
                IDS,
            ),
            (SetBcid, libc::ENOENT) => (
                NoSuchBeancounter,
                "no beancounter has this id, and the flags forbid to create it",
                USED_IDS,
            ),
            (SetBcid, libc::EEXIST) => (
                Exists,
                "a beancounter has this id already, and the flags ask for a new one",
                "ids 1 to 2147483647 that /proc/user_beancounters does not list",
            ),
            (SetBcid, libc::EAGAIN) => (
                LimitReached,
                "its numproc limit has no room for the tasks",
                "at most as many tasks as numproc's limit is above what is held",
            ),
            (SetBcid, libc::EINTR) => (
                Other,
                "the caller was killed before the task was moved",
                "the same call, by another process",
            ),

            (SetBclimit, libc::EINVAL) => (
                Invalid,
                "the id, the resource or a bound is out of range, or the flags contradict each \
                 other",
                BOUNDS,
            ),
            (SetBclimit, libc::EPERM) => (
                NotPermitted,
                "setting or releasing limits needs CAP_SYS_RESOURCE in the initial user namespace",
                BOUNDS,
            ),
            (SetBclimit, libc::EAGAIN | libc::EBUSY) => (
                Busy,
                "what is held of the resource cannot be brought within these bounds",
                "bounds that what is held fits",
            ),
            (SetBclimit | GetBcstat, libc::EOPNOTSUPP) => (
                NotCounted,
                "this kernel does not count the resource",
                COUNTED,
            ),
            (SetBclimit, libc::ENOENT) => (
                NoSuchBeancounter,
                "no beancounter has this id, and the call is not to create it",
                USED_IDS,
            ),
            (SetBclimit, libc::E2BIG) => (
                Other,
                "this kernel is older than the structure it was given and does not know all of \
                 what is set",
                "fields that the running kernel knows",
            ),

            (GetBcstat, libc::EINVAL) => (
                Invalid,
                "the id is out of range, or the kernel knows no resource of this number",
                "ids 0 (the host) to 2147483647 or BCID_SELF, a resource number that the kernel \
                 knows",
            ),
            (GetBcstat, libc::EPERM) => (
                NotPermitted,
                "reading another beancounter than the own one, or a reset, needs \
                 CAP_SYS_RESOURCE in the initial user namespace",
                "the caller's own id, or BCID_SELF, without a reset",
            ),
            (GetBcstat, libc::ENOENT) => {
                (NoSuchBeancounter, "no beancounter has this id", USED_IDS)
            }

            (SetBcid | SetBclimit, libc::ENOSPC) => (
                TooMany,
                "as many beancounters exist as the kernel allows",
                BC_MAX,
            ),
            (_, libc::ENOMEM) => (NoMemory, "the kernel has no memory for it", MEMORY),

            // A seccomp filter or a security module can answer anything.
            (_, _) => (
                Other,
                "not an answer of this call itself: a seccomp filter or a security module gave it",
                "a caller that these let through",
            ),
        }
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        let kind = std::io::Error::from_raw_os_error(error.errno.raw()).kind();
        std::io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLS: [Call; 5] = [
        Call::PidfdOpen,
        Call::GetBcid,
        Call::SetBcid,
        Call::SetBclimit,
        Call::GetBcstat,
    ];

    #[test]
    fn every_text_names_call_errno_meaning_and_range() {
        for call in CALLS {
            for number in -1..=4095 {
                let errno = Errno::from_raw(number);
                let error = Error::new(call, errno);
                let text = error.to_string();
                assert!(text.starts_with(call.name()), "{text}");
                assert!(text.contains(&format!("({errno})")), "{text}");
                assert!(text.contains("; valid: "), "{text}");
                assert!(!text.to_lowercase().contains("success"), "{text}");
                assert!(!text.contains('\n') && !text.contains("  "), "{text}");
            }
        }
    }

    #[test]
    fn documented_numbers_have_an_own_meaning() {
        let table: [(Call, &[i32]); 5] = [
            (
                Call::PidfdOpen,
                &[
                    libc::ESRCH,
                    libc::EINVAL,
                    libc::ENOENT,
                    libc::EMFILE,
                    libc::ENFILE,
                    libc::ENOMEM,
                ],
            ),
            (
                Call::GetBcid,
                &[libc::EINVAL, libc::EPERM, libc::ESRCH, libc::EBADF],
            ),
            (
                Call::SetBcid,
                &[
                    libc::EINVAL,
                    libc::EOPNOTSUPP,
                    libc::EPERM,
                    libc::ESRCH,
                    libc::EBADF,
                    libc::ENOENT,
                    libc::EEXIST,
                    libc::ENOMEM,
                    libc::ENOSPC,
                    libc::EINTR,
                    libc::EAGAIN,
                ],
            ),
            (
                Call::SetBclimit,
                &[
                    libc::EINVAL,
                    libc::EOPNOTSUPP,
                    libc::EPERM,
                    libc::ENOENT,
                    libc::E2BIG,
                    libc::ENOMEM,
                    libc::ENOSPC,
                    libc::EAGAIN,
                    libc::EBUSY,
                ],
            ),
            (
                Call::GetBcstat,
                &[libc::EINVAL, libc::EOPNOTSUPP, libc::EPERM, libc::ENOENT],
            ),
        ];
        for (call, numbers) in table {
            let fallback = Error::new(call, Errno::from_raw(4000)).meaning();
            for &number in numbers.iter().chain(&[libc::ENOSYS]) {
                let error = Error::new(call, Errno::from_raw(number));
                assert_ne!(error.meaning(), fallback, "{error}");
            }
        }
    }

    #[test]
    fn no_beancounters_is_said_plainly() {
        let error = Error::new(Call::SetBcid, Errno::from_raw(libc::ENOSYS));
        assert_eq!(error.kind(), ErrorKind::NotSupportedByKernel);
        assert_eq!(
            error.to_string(),
            "set_bcid: this kernel has no beancounters (ENOSYS); valid: a kernel built with \
             CONFIG_BEANCOUNTERS=y, and no seccomp filter on the call"
        );
    }

    #[test]
    fn switched_off_is_said_plainly() {
        for call in CALLS {
            let error = Error::disabled(call);
            assert_eq!(error.kind(), ErrorKind::Disabled);
            assert_eq!(
                error.to_string(),
                format!(
                    "{call}: beancounters are switched off, the kernel was booted with bc=off \
                     (EOPNOTSUPP); valid: a boot without bc=off"
                )
            );
        }
        let error = Error::new(Call::SetBcid, Errno::from_raw(libc::EOPNOTSUPP));
        assert_eq!(error.kind(), ErrorKind::Disabled);
    }

    #[test]
    fn converts_to_io_error_of_the_same_kind() {
        let error = Error::new(Call::SetBcid, Errno::from_raw(libc::EPERM));
        let io = std::io::Error::from(error);
        assert_eq!(io.kind(), std::io::ErrorKind::PermissionDenied);
        assert_eq!(io.to_string(), error.to_string());
    }
}
