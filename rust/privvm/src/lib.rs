// SPDX-License-Identifier: GPL-2.0-only
//! What `privvmpages` should count, as a plain model of pages.
//!
//! The [`model`] knows no mappings of the kernel but their borders, which it is told: whether two
//! mappings are one is not its business. It predicts of each operation whether it succeeds, and
//! what each beancounter holds and has refused after it. The program of this package has processes
//! do such operations at random, and compares.

pub mod model;
