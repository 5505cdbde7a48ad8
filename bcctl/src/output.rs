// SPDX-License-Identifier: GPL-2.0-only
//! Everything that bcctl prints, as text or as JSON.

use beancounter::{BcId, Errno, Error, ListError, Setting, UNLIMITED, Unit};
use rustix::termios::tcgetwinsize;
use serde::{Serialize, Serializer};
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

    /// Wrong usage, from the text that says so to people.
    pub fn of_usage(text: &str, status: i32) -> Self {
        Self {
            message: text.trim_start_matches("error: ").trim_end().to_owned(),
            call: None,
            errno: None,
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

// Few readers of JSON keep a number as large as the one that means unlimited.
pub fn null_if_unlimited<S: Serializer>(bound: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    Some(bound)
        .filter(|&&bound| bound != UNLIMITED)
        .serialize(serializer)
}

/// Bounds of a resource.
#[derive(Clone, Debug, Serialize)]
pub struct Limit {
    name: &'static str,
    unit: Unit,
    #[serde(serialize_with = "null_if_unlimited")]
    barrier: u64,
    #[serde(serialize_with = "null_if_unlimited")]
    limit: u64,
    /// As it is written on the command line.
    #[serde(skip)]
    text: String,
}

impl From<&Setting> for Limit {
    fn from(setting: &Setting) -> Self {
        Self {
            name: setting.resource.name(),
            unit: setting.resource.unit(),
            barrier: setting.limits.barrier(),
            limit: setting.limits.limit(),
            text: setting.to_string(),
        }
    }
}

/// Bounds that a beancounter has got, or would get.
#[derive(Clone, Debug, Serialize)]
pub struct Set {
    pub id: BcId,
    pub limits: Vec<Limit>,
}

/// What would be done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Create { id: BcId },
    Set(Set),
    Move(Task),
    Run { id: BcId, command: Vec<String> },
    Release { id: BcId },
}

impl Step {
    fn text(&self) -> String {
        match self {
            Step::Create { id } => format!("would create beancounter {id}\n"),
            Step::Set(Set { id, limits }) => {
                let line =
                    |limit: &Limit| format!("would set {} of beancounter {id}\n", limit.text);
                limits.iter().map(line).collect::<Vec<_>>().concat()
            }
            Step::Move(Task { pid, id }) => format!("would move {pid} into beancounter {id}\n"),
            Step::Run { id, command } => {
                let name = command.first().map_or("", String::as_str);
                format!("would run '{name}' in beancounter {id}\n")
            }
            Step::Release { id } => format!("would release beancounter {id}\n"),
        }
    }
}

/// The lines of JSON, one variant each.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Document<'a> {
    Run(Task),
    Tasks(&'a [Task]),
    Set(&'a Set),
    Stat(&'a crate::stat::Answer),
    Beancounters(&'a [crate::list::Entry]),
    Release { id: BcId },
    Completions { shell: &'a str, script: &'a str },
    DryRun(&'a [Step]),
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

    /// Prints what is shown in columns.
    pub fn table(&self, document: &Document<'_>, rows: impl FnOnce() -> Rows) -> crate::Result {
        self.answer(document, || layout(&rows(), width()))
    }

    /// Prints what would be done.
    pub fn plan(&self, steps: &[Step]) -> crate::Result {
        self.answer(&Document::DryRun(steps), || {
            steps.iter().map(Step::text).collect()
        })
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

/// Rows of cells, the names of the columns first; a cell may be empty.
pub type Rows = Vec<Vec<String>>;

/// The columns that the terminal has, if standard output is one.
fn width() -> Option<usize> {
    let size = tcgetwinsize(std::io::stdout()).ok()?;
    // A terminal that does not know its size says 0.
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

/// Lays out rows as a table, or as a list where that is too wide for a
/// terminal, which would break its lines.
fn layout(rows: &Rows, width: Option<usize>) -> String {
    let table = table(rows);
    let fits = |columns| table.lines().all(|line| line.len() <= columns);
    if width.is_none_or(fits) {
        return table;
    }
    list(rows)
}

/// Rows in columns two spaces apart: texts to the left, numbers to the right.
fn table(rows: &Rows) -> String {
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

/// A line a cell, with the column's name, and a blank line between rows.
fn list(rows: &Rows) -> String {
    let Some((head, rows)) = rows.split_first() else {
        return String::new();
    };
    let width = head.iter().map(String::len).max().unwrap_or(0);
    let record = |row: &Vec<String>| {
        let cells = head.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
        let line = |(name, cell)| format!("{name:<width$}  {cell}\n");
        cells.map(line).collect::<Vec<_>>().concat()
    };
    let records: Vec<String> = rows.iter().map(record).collect();
    records.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Rows {
        let cells = |row: &&[&str]| row.iter().map(|&cell| cell.to_owned()).collect();
        rows.iter().map(cells).collect()
    }

    #[test]
    fn what_is_too_wide_for_the_terminal_is_a_list() {
        let rows = rows(&[
            &["BC", "TASKS", "RESOURCE", "HELD"],
            &["100", "2", "numproc", "2"],
            &["", "", "kmemsize", "4096"],
            &["2000000000", "1", "numproc", "1"],
        ]);
        let table = [
            "        BC  TASKS  RESOURCE  HELD\n",
            "       100      2  numproc      2\n",
            "                   kmemsize  4096\n",
            "2000000000      1  numproc      1\n",
        ]
        .concat();
        let list = "BC        100\nTASKS     2\nRESOURCE  numproc\nHELD      2\n\n\
                    RESOURCE  kmemsize\nHELD      4096\n\n\
                    BC        2000000000\nTASKS     1\nRESOURCE  numproc\nHELD      1\n";
        // What is piped has the table's form however long its lines are.
        assert_eq!(layout(&rows, None), table);
        assert_eq!(layout(&rows, Some(33)), table);
        assert_eq!(layout(&rows, Some(32)), list);
        assert_eq!(layout(&rows, Some(1)), list);
    }

    #[test]
    fn a_head_alone_is_a_table_wherever_it_fits() {
        let head = rows(&[&["BC", "TASKS"]]);
        assert_eq!(layout(&head, Some(9)), "BC  TASKS\n");
        assert_eq!(layout(&head, Some(8)), "");
    }
}
