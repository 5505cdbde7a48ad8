// SPDX-License-Identifier: GPL-2.0-only
//! Processes that do what they are told, without memory of their own changing.
//!
//! A worker waits for a system call in its mailbox, which is in shared memory, does it, and waits
//! again. It neither allocates nor uses more of its stack than it did when it started.

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::SeqCst};

/// Where the mailboxes are, in all processes.
const SHARED: usize = 0x2000_0000_0000;

/// Where the part of an address space is that is mapped at will.
pub const WINDOW: usize = 0x1000_0000_0000;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// How many processes there may be.
pub const SLOTS: usize = 12;

/// Bytes of the stack that a worker may use.
const STACK: usize = 96 * 1024;

const IDLE: u32 = 0;
const TOLD: u32 = 1;
const DONE: u32 = 2;

/// Not the number of a system call: writes a byte.
const WRITE: u64 = 1 << 32;
/// The same: forks, and gives the child a mailbox.
const FORK: u64 = 2 << 32;

/// The mailbox of a worker.
#[repr(C)]
struct Mailbox {
    state: AtomicU32,
    call: AtomicU64,
    args: [AtomicU64; 6],
    result: AtomicI64,
}

/// What a program is executed with.
#[repr(C)]
struct Exec {
    path: [u8; 16],
    args: [[u8; 8]; 4],
    argv: [u64; 5],
    envp: [u64; 1],
}

#[repr(C)]
struct Shared {
    boxes: [Mailbox; SLOTS],
    exec: [Exec; SLOTS],
}

fn mailbox(slot: usize) -> &'static Mailbox {
    // SAFETY: The shared memory is mapped before anything else is done, and stays.
    unsafe { &(*(SHARED as *const Shared)).boxes[slot] }
}

/// Maps the mailboxes from a file, which is made if there is none.
///
/// Returns the file.
pub fn share(fd: Option<i32>) -> io::Result<i32> {
    let fd = match fd {
        Some(fd) => fd,
        None => {
            // SAFETY: The name ends with a NUL.
            let fd = unsafe { libc::memfd_create(c"mailboxes".as_ptr(), 0) };
            // SAFETY: Takes no pointers.
            if fd < 0 || unsafe { libc::ftruncate(fd, size_of::<Shared>() as i64) } != 0 {
                return Err(io::Error::last_os_error());
            }
            fd
        }
    };
    // SAFETY: Nothing else is mapped there.
    let at = unsafe {
        libc::mmap(
            SHARED as *mut libc::c_void,
            size_of::<Shared>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE,
            fd,
            0,
        )
    };
    if at as usize != SHARED {
        return Err(io::Error::last_os_error());
    }
    Ok(fd)
}

fn futex(word: &AtomicU32, op: i32, value: u32, timeout: *const libc::timespec) {
    // SAFETY: `word` is shared memory, `timeout` NULL or valid.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, value, timeout) };
}

/// Does one system call, as the kernel has it: a result, or the negative of an errno.
fn call(number: u64, args: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: Whoever tells a worker what to do knows what that does to it.
    match unsafe { libc::syscall(number as libc::c_long, a, b, c, d, e, f) } {
        -1 => -i64::from(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        result => result,
    }
}

/// Uses as much of the stack as it ever will.
#[inline(never)]
fn use_stack() {
    let mut stack = [0u8; STACK];
    for page in stack.chunks_mut(PAGE) {
        // SAFETY: It is valid for writing.
        unsafe { ptr::write_volatile(&mut page[0], 1) };
    }
}

/// Works, from mailbox `slot`; begins with the answer to what made the process, if it is its own.
pub fn work(mut slot: usize, answer: bool) -> ! {
    use_stack();
    if answer {
        let mailbox = mailbox(slot);
        mailbox.result.store(0, SeqCst);
        mailbox.state.store(DONE, SeqCst);
        futex(&mailbox.state, libc::FUTEX_WAKE, 1, ptr::null());
    }
    loop {
        let mailbox = mailbox(slot);
        let state = mailbox.state.load(SeqCst);
        if state != TOLD {
            futex(&mailbox.state, libc::FUTEX_WAIT, state, ptr::null());
            continue;
        }
        let args = mailbox.args.each_ref().map(|arg| arg.load(SeqCst));
        let result = match mailbox.call.load(SeqCst) {
            WRITE => {
                // SAFETY: A page of the window, which nothing else uses; the model knows that it
                // can be written.
                unsafe { ptr::write_volatile(args[0] as *mut u8, 1) };
                0
            }
            FORK => {
                let pid = call(
                    libc::SYS_clone as u64,
                    [libc::SIGCHLD as u64, 0, 0, 0, 0, 0],
                );
                if pid == 0 {
                    slot = args[0] as usize;
                    continue;
                }
                pid
            }
            number => call(number, args),
        };
        mailbox.result.store(result, SeqCst);
        mailbox.state.store(DONE, SeqCst);
        futex(&mailbox.state, libc::FUTEX_WAKE, 1, ptr::null());
    }
}

/// A worker, as its controller has it.  It is killed when this is dropped.
#[derive(Debug)]
pub struct Worker {
    slot: usize,
    pid: i32,
    pidfd: i32,
}

/// The worker has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dead;

impl Drop for Worker {
    fn drop(&mut self) {
        // SAFETY: Takes no pointers that are not NULL.
        unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.pidfd, libc::SIGKILL, 0, 0);
        }
        while !self.is_dead(1000) {}
        // SAFETY: It is ours.
        unsafe { libc::close(self.pidfd) };
    }
}

impl Worker {
    fn new(slot: usize, pid: i32) -> io::Result<Self> {
        // SAFETY: Takes no pointers.
        let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as i32;
        if pidfd < 0 {
            return Err(io::Error::last_os_error());
        }
        // Nobody else has it: it has none to give to a child.
        // SAFETY: Takes no pointers.
        unsafe { libc::fcntl(pidfd, libc::F_SETFD, libc::FD_CLOEXEC) };
        Ok(Worker { slot, pid, pidfd })
    }

    /// Starts a worker that is a child of the caller.
    pub fn start(slot: usize) -> io::Result<Self> {
        mailbox(slot).state.store(IDLE, SeqCst);
        match call(
            libc::SYS_clone as u64,
            [libc::SIGCHLD as u64, 0, 0, 0, 0, 0],
        ) {
            0 => work(slot, false),
            err if err < 0 => Err(io::Error::from_raw_os_error(-err as i32)),
            pid => {
                let worker = Worker::new(slot, pid as i32)?;
                // It has used its stack when it answers.
                worker
                    .call(libc::SYS_getpid, [0; 6])
                    .map_err(|Dead| io::ErrorKind::BrokenPipe)?;
                Ok(worker)
            }
        }
    }

    /// The process.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its mailbox.
    pub fn slot(&self) -> usize {
        self.slot
    }

    fn is_dead(&self, ms: i32) -> bool {
        let mut poll = libc::pollfd {
            fd: self.pidfd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: One element, which is valid.
        unsafe { libc::poll(&mut poll, 1, ms) == 1 }
    }

    fn tell(&self, number: u64, args: [u64; 6]) -> Result<i64, Dead> {
        let mailbox = mailbox(self.slot);
        for (to, from) in mailbox.args.iter().zip(args) {
            to.store(from, SeqCst);
        }
        mailbox.call.store(number, SeqCst);
        mailbox.state.store(TOLD, SeqCst);
        futex(&mailbox.state, libc::FUTEX_WAKE, 1, ptr::null());
        let timeout = libc::timespec {
            tv_sec: 0,
            tv_nsec: 50_000_000,
        };
        loop {
            let state = mailbox.state.load(SeqCst);
            if state == DONE {
                mailbox.state.store(IDLE, SeqCst);
                return Ok(mailbox.result.load(SeqCst));
            }
            futex(&mailbox.state, libc::FUTEX_WAIT, state, &timeout);
            if self.is_dead(0) && mailbox.state.load(SeqCst) != DONE {
                return Err(Dead);
            }
        }
    }

    /// Has it do a system call: a result, or the negative of an errno.
    pub fn call(&self, number: libc::c_long, args: [u64; 6]) -> Result<i64, Dead> {
        self.tell(number as u64, args)
    }

    /// Has it write to an address.
    pub fn write(&self, address: usize) -> Result<i64, Dead> {
        self.tell(WRITE, [address as u64, 0, 0, 0, 0, 0])
    }

    /// Has it fork a worker.  `Err` of an errno if it cannot.
    pub fn fork(&self, slot: usize) -> Result<io::Result<Worker>, Dead> {
        mailbox(slot).state.store(IDLE, SeqCst);
        Ok(match self.tell(FORK, [slot as u64, 0, 0, 0, 0, 0])? {
            err if err < 0 => Err(io::Error::from_raw_os_error(-err as i32)),
            pid => Worker::new(slot, pid as i32),
        })
    }

    /// Has it execute this program anew; it answers from there.
    pub fn exec(&self, fd: i32) -> Result<i64, Dead> {
        // SAFETY: Nobody else uses it now.
        let exec = unsafe { &mut (*(SHARED as *mut Shared)).exec[self.slot] };
        exec.path = *b"/proc/self/exe\0\0";
        // All of the same length: so is the stack.
        let args = [
            "privvm".into(),
            "worker".into(),
            format!("{:02}", self.slot),
            format!("{fd:03}"),
        ];
        for (to, from) in exec.args.iter_mut().zip(&args) {
            *to = [0; 8];
            to[..from.len()].copy_from_slice(from.as_bytes());
        }
        for (to, from) in exec.argv.iter_mut().zip(&exec.args) {
            *to = from.as_ptr() as u64;
        }
        let (path, argv, envp) = (exec.path.as_ptr(), exec.argv.as_ptr(), exec.envp.as_ptr());
        self.call(
            libc::SYS_execve,
            [path as u64, argv as u64, envp as u64, 0, 0, 0],
        )
    }
}
