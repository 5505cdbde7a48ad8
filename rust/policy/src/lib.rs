// SPDX-License-Identifier: GPL-2.0-only
//! What decides in `kernel/bc`, compiled for the build host.
//!
//! The modules are the series' own files, which `scripts/extract` takes out of the patches; only
//! [`policy::atomic`] is another one, on the atomic types of the standard library or of loom.

/// `kernel/bc/policy/mod.rs`, with another [`atomic`](policy::atomic).
pub mod policy {
    pub mod atomic;
    #[rustfmt::skip] // The kernel's own style.
    #[path = "../../../../build/extract/kernel/bc/policy/counter.rs"]
    pub mod counter;
    #[rustfmt::skip] // The kernel's own style.
    #[path = "../../../../build/extract/kernel/bc/policy/lifetime.rs"]
    pub mod lifetime;
    #[rustfmt::skip] // The kernel's own style.
    #[path = "../../../../build/extract/kernel/bc/policy/resource.rs"]
    pub mod resource;
}
