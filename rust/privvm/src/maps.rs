// SPDX-License-Identifier: GPL-2.0-only
//! What the kernel tells of mappings: `/proc/PID/maps`, and the check in debugfs.

use crate::worker::{PAGE, WINDOW};
use privvm::model;
use std::io;
use std::ops::Range;

/// The mappings of the window, and the writable private pages outside.
pub struct Maps {
    /// In pages of the window.
    pub borders: Vec<Range<usize>>,
    /// How many pages, the heap from `heap` on left out.
    pub program: usize,
}

/// Reads the mappings of a process.
pub fn read(pid: i32, heap: usize) -> io::Result<Maps> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/maps");
    let mut maps = Maps {
        borders: Vec::new(),
        program: 0,
    };
    for line in text.lines() {
        let (range, rest) = line.split_once(' ').ok_or_else(bad)?;
        let (start, end) = range.split_once('-').ok_or_else(bad)?;
        let start = usize::from_str_radix(start, 16).map_err(|_| bad())?;
        let end = usize::from_str_radix(end, 16).unwrap_or(usize::MAX);
        if (WINDOW..WINDOW + model::WINDOW * PAGE).contains(&start) {
            maps.borders
                .push((start - WINDOW) / PAGE..(end - WINDOW) / PAGE);
        } else if rest.starts_with("rw") && rest.as_bytes().get(3) == Some(&b'p') {
            // The heap that is used at will may be one mapping with that of the program.
            let end = if start < heap + model::HEAP * PAGE && end > heap {
                start.max(heap)
            } else {
                end
            };
            maps.program += (end - start) / PAGE;
        }
    }
    Ok(maps)
}

/// What the kernel finds charged to a beancounter by a look at all mappings: held, found.
pub fn check() -> io::Result<Vec<(u32, u64, u64)>> {
    let text = std::fs::read_to_string("/sys/kernel/debug/beancounters/privvmpages")?;
    let row = |line: &str| {
        let mut fields = line.split_whitespace();
        let id = fields.next()?.parse().ok()?;
        Some((
            id,
            fields.next()?.parse().ok()?,
            fields.next()?.parse().ok()?,
        ))
    };
    Ok(text.lines().skip(1).filter_map(row).collect())
}
