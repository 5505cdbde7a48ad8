// SPDX-License-Identifier: GPL-2.0-only
//! Everything that bcctl prints, as text or as JSON.

use beancounter::{BcId, Errno, Error, ListError};
use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

/// Exit status when the kernel or the system refused.
pub const REFUSED: i32 = 1;

/// A refusal: a sentence for people, its parts for programs.
#[derive(Debug, Serialize)]
pub struct Failure {
    pub message: String,
    /// The system call that was refused, if it was one of those of this tool.
    pub call: Option<&'static str>,
    /// The error number's name.
    pub errno: Option<String>,
    #[serde(skip)]
    pub status: i32,
}

impl Failure {
    /// A refused call; `what` says what bcctl could not do.
    pub fn of_call(what: &str, error: Error) -> Self {
        Self {
            message: format!("{what}: {error}"),
            call: Some(error.call().name()),
            errno: Some(error.errno().to_string()),
            status: REFUSED,
        }
    }

    /// A refusal by something else than one of these calls.  `sentence` names
    /// the error number.
    pub fn of_errno(sentence: String, errno: Errno, status: i32) -> Self {
        Self {
            message: sentence,
            call: None,
            errno: Some(errno.to_string()),
            status,
        }
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        const WHAT: &str = "cannot list beancounters";
        let sentence = format!("{WHAT}: {error}");
        match error {
            ListError::Call(error) => Self::of_call(WHAT, error),
            ListError::Io(error) => Self::of_errno(sentence, Errno::of(&error), REFUSED),
            _ => Self {
                message: sentence,
                call: None,
                errno: None,
                status: REFUSED,
            },
        }
    }
}

/// A task and the beancounter it is in.
#[derive(Debug, Serialize)]
pub struct Task {
    pub pid: libc::pid_t,
    pub id: BcId,
}

/// The lines of JSON, one variant each.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Document<'a> {
    Run(Task),
    Tasks(&'a [Task]),
    Beancounters(&'a [crate::list::Entry]),
    Error(&'a Failure),
}

impl Document<'_> {
    pub fn line(&self) -> String {
        // Only a map with keys that are no strings could fail.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

/// How to print.
#[derive(Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the answer of a verb.
    pub fn answer(&self, document: &Document<'_>, text: impl FnOnce() -> String) -> crate::Result {
        let answer = if self.json { document.line() } else { text() };
        to_stdout(&answer).map_err(|failure| vec![failure])
    }

    /// Prints a refusal.
    pub fn failure(&self, failure: &Failure) {
        if self.json {
            to_stderr(&Document::Error(failure).line());
        } else {
            to_stderr(&format!("bcctl: {}\n", failure.message));
        }
    }
}

fn write(descriptor: BorrowedFd<'_>, text: &str) -> std::io::Result<()> {
    // Standard output of the library takes a closed descriptor for written.
    File::from(descriptor.try_clone_to_owned()?).write_all(text.as_bytes())
}

/// Writes to standard output.
pub fn to_stdout(text: &str) -> Result<(), Failure> {
    write(std::io::stdout().as_fd(), text).map_err(|error| {
        let errno = Errno::of(&error);
        let message = format!(
            "cannot write the answer ({errno}); valid: a standard output that is open and has room"
        );
        Failure::of_errno(message, errno, REFUSED)
    })
}

/// Writes to standard error, which is the last resort.
pub fn to_stderr(text: &str) {
    let _ = write(std::io::stderr().as_fd(), text);
}

/// Lays out rows in columns two spaces apart: texts to the left, numbers to
/// the right.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let layout: Vec<(usize, bool)> = (0..columns)
        .map(|column| {
            let cells = || rows.iter().filter_map(|row| row.get(column));
            let width = cells().map(String::len).max().unwrap_or(0);
            let numbers = cells()
                .skip(1)
                .any(|cell| cell.starts_with(|first: char| first.is_ascii_digit()));
            (width, numbers)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, &(width, numbers)) in row.iter().zip(&layout) {
            if numbers {
                line.push_str(&format!("{cell:>width$}  "));
            } else {
                line.push_str(&format!("{cell:<width$}  "));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
