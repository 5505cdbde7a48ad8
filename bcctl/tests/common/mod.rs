// SPDX-License-Identifier: GPL-2.0-only
//! What the tests of bcctl share.

/// All verbs, in the order of the help.
pub const VERBS: [&str; 8] = [
    "run",
    "attach",
    "set",
    "get",
    "stat",
    "list",
    "release",
    "completions",
];
