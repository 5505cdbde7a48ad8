// SPDX-License-Identifier: GPL-2.0-only
//! The atomic types of the policy, on those of the standard library or of loom.
//!
//! What the kernel orders fully has a fence on either side under loom, as in the kernel's memory
//! model; else it is sequentially consistent, one locked instruction on x86 as in the kernel.

#[cfg(loom)]
use loom::sync::atomic;
#[cfg(not(loom))]
use std::sync::atomic;

use atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use atomic::fence;

/// The order of an operation that [`full`] runs.
const ORDER: atomic::Ordering = if cfg!(loom) { Relaxed } else { SeqCst };

/// Runs an operation fully ordered.
#[inline]
fn full<R>(f: impl FnOnce() -> R) -> R {
    if cfg!(loom) {
        fence(SeqCst);
    }
    let result = f();
    if cfg!(loom) {
        fence(SeqCst);
    }
    result
}

/// A 64-bit counter.
pub struct AtomicU64(atomic::AtomicU64);

impl AtomicU64 {
    /// Creates a counter with the value `v`.
    pub fn new(v: u64) -> Self {
        Self(atomic::AtomicU64::new(v))
    }

    /// Reads the value, without ordering.
    #[inline]
    pub fn load(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Writes the value, without ordering.
    #[inline]
    pub fn store(&self, v: u64) {
        self.0.store(v, Relaxed);
    }

    /// Writes the value and gives what it was, fully ordered.
    #[inline]
    pub fn swap(&self, v: u64) -> u64 {
        full(|| self.0.swap(v, ORDER))
    }

    /// Replaces `old` by `new`, fully ordered, or gives the value that was found instead.
    #[inline]
    pub fn compare_exchange(&self, old: u64, new: u64) -> Result<(), u64> {
        full(|| self.0.compare_exchange(old, new, ORDER, Relaxed)).map(|_| ())
    }
}

/// A flag.
pub struct AtomicBool(atomic::AtomicBool);

impl AtomicBool {
    /// Creates a flag.
    pub fn new(v: bool) -> Self {
        Self(atomic::AtomicBool::new(v))
    }

    /// Reads the flag; what was written before it was set is seen by the caller afterwards.
    #[inline]
    pub fn load_acquire(&self) -> bool {
        self.0.load(Acquire)
    }

    /// Writes the flag after all that the caller has written before.
    #[inline]
    pub fn store_release(&self, v: bool) {
        self.0.store(v, Release);
    }

    /// Writes the flag and gives what it was, fully ordered.
    #[inline]
    pub fn swap(&self, v: bool) -> bool {
        full(|| self.0.swap(v, ORDER))
    }
}

/// A reference count.  Where the kernel's complains, this panics.
pub struct RefCount(atomic::AtomicU32);

impl RefCount {
    /// Creates a count of one reference.
    pub fn one() -> Self {
        Self(atomic::AtomicU32::new(1))
    }

    /// Takes a further reference.
    #[inline]
    pub fn inc(&self) {
        let old = self.0.fetch_add(1, Relaxed);
        assert_ne!(old, 0, "a reference was taken where there was none");
    }

    /// Takes a further reference, unless there is none.
    #[inline]
    #[must_use]
    pub fn inc_not_zero(&self) -> bool {
        self.0
            .fetch_update(Relaxed, Relaxed, |n| (n != 0).then(|| n + 1))
            .is_ok()
    }

    /// Drops a reference; tells if it was the last one.  Ordered as a release, and as an acquire
    /// too if it was the last one.
    #[inline]
    #[must_use]
    pub fn dec_and_test(&self) -> bool {
        let old = self.0.fetch_sub(1, Release);
        assert_ne!(old, 0, "a reference was dropped where there was none");
        if old == 1 {
            fence(Acquire);
        }
        old == 1
    }

    /// Makes a count of zero one again.  No other function may run on the count meanwhile that
    /// could change it from zero.
    #[inline]
    pub fn revive(&self) {
        self.0.store(1, Relaxed);
    }

    /// Tells if there is no reference.
    #[inline]
    pub fn is_zero(&self) -> bool {
        self.0.load(Acquire) == 0
    }
}
