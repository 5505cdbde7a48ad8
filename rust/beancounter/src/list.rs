// SPDX-License-Identifier: GPL-2.0-only
//! `/proc/user_beancounters`, OpenVZ's format 2.5.

use crate::{BcId, Errno, Error, ErrorKind, Target, get_bcid};
use std::fmt;
use std::str::FromStr;

/// Where the kernel lists the beancounters.
pub const LISTING_PATH: &str = "/proc/user_beancounters";

const VERSION: &str = "Version: 2.5";
const COLUMNS: [&str; 7] = [
    "uid", "resource", "held", "maxheld", "barrier", "limit", "failcnt",
];

/// The beancounters of a listing.
///
/// ```
/// use beancounter::Listing;
///
/// let listing: Listing = "\
/// Version: 2.5
///        uid  resource                     held              maxheld \
///               barrier                limit              failcnt
///        100: kmemsize                        1                    2 \
///                     3                    4                    5
///             lockedpages                     0                    0 \
///                     0                    0                    0
/// ".parse()?;
/// let bc = &listing.beancounters[0];
/// assert_eq!(bc.id.get(), 100);
/// assert_eq!(bc.rows[0].maxheld, 2);
/// assert_eq!(bc.rows[1].resource, "lockedpages");
/// # Ok::<(), beancounter::ParseError>(())
/// ```
///
/// Its `Display` writes the kernel's form again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// In the listing's order.
    pub beancounters: Vec<Beancounter>,
}

/// One beancounter of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Beancounter {
    /// Its id.
    pub id: BcId,
    /// Its resources; there is at least one.
    pub rows: Vec<Row>,
}

/// One resource of a beancounter in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Row {
    /// The resource's name; `"dummy"` for a reserved number.
    pub resource: String,
    /// What is charged now.
    pub held: u64,
    /// Highest `held` so far.
    pub maxheld: u64,
    /// The bound of ordinary charges.
    pub barrier: u64,
    /// The bound of charges that the kernel would rather not refuse.
    pub limit: u64,
    /// Refused charges.
    pub failcnt: u64,
}

/// Not a listing in format 2.5.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ParseError {
    line: usize,
    problem: &'static str,
}

impl ParseError {
    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

/// Why there is no listing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The kernel has no beancounters.
    #[error(transparent)]
    Call(#[from] Error),
    /// The file cannot be read.
    #[error(
        "cannot read {LISTING_PATH} ({}); valid: a /proc that is mounted and shows this file",
        Errno::of(.0)
    )]
    Io(#[source] std::io::Error),
    /// The file has another format.
    #[error("{LISTING_PATH} is not in format 2.5: {0}")]
    Parse(#[from] ParseError),
}

/// The beancounters that the caller may see: all with `CAP_SYS_RESOURCE` in
/// the initial user namespace, else the one that it is in.  The host is not
/// listed.
///
/// ```
/// match beancounter::list() {
///     Ok(listing) => println!("{} beancounters", listing.beancounters.len()),
///     Err(error) => eprintln!("{error}"),
/// }
/// ```
pub fn list() -> Result<Listing, ListError> {
    match std::fs::read(LISTING_PATH) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).parse()?),
        Err(error) => {
            // Without the calls there is no such file either: say the cause.
            if let Err(cause) = get_bcid(Target::PROCESS) {
                if cause.kind() == ErrorKind::NotSupportedByKernel {
                    return Err(cause.into());
                }
            }
            Err(ListError::Io(error))
        }
    }
}

fn number(field: &str) -> Option<u64> {
    // `parse` alone would take a sign.
    if !field.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    field.parse().ok()
}

impl FromStr for Listing {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = |line, problem| Err(ParseError { line, problem });
        let mut lines = text.lines().zip(1..);

        match lines.next() {
            Some((line, _)) if line == VERSION => {}
            _ => return fail(1, "\"Version: 2.5\" expected"),
        }
        match lines.next() {
            Some((line, _)) if line.split_whitespace().eq(COLUMNS) => {}
            _ => return fail(2, "the column names expected"),
        }

        let mut beancounters: Vec<Beancounter> = Vec::new();
        for (line, at) in lines {
            let mut fields: Vec<&str> = line.split_whitespace().collect();
            if fields.len() == COLUMNS.len() {
                let id = fields.remove(0);
                let Some(Ok(id)) = id.strip_suffix(':').map(BcId::from_str) else {
                    return fail(at, "an id from 0 to 2147483647 and a colon expected");
                };
                beancounters.push(Beancounter {
                    id,
                    rows: Vec::new(),
                });
            }
            let [resource, values @ ..] = fields.as_slice() else {
                return fail(at, "a resource expected");
            };
            let values: Option<Vec<u64>> = values.iter().map(|field| number(field)).collect();
            let Some(&[held, maxheld, barrier, limit, failcnt]) = values.as_deref() else {
                return fail(at, "a resource with five numbers expected");
            };
            let Some(beancounter) = beancounters.last_mut() else {
                return fail(at, "an id expected before the first resource");
            };
            beancounter.rows.push(Row {
                resource: (*resource).to_owned(),
                held,
                maxheld,
                barrier,
                limit,
                failcnt,
            });
        }
        Ok(Self { beancounters })
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [uid, resource, held, maxheld, barrier, limit, failcnt] = COLUMNS;
        writeln!(f, "{VERSION}")?;
        writeln!(
            f,
            "{uid:>10}  {resource:<12} {held:>20} {maxheld:>20} {barrier:>20} {limit:>20} {failcnt:>20}"
        )?;
        for bc in &self.beancounters {
            let mut uid = bc.id.to_string();
            let mut mark = ':';
            for row in &bc.rows {
                writeln!(
                    f,
                    "{uid:>10}{mark} {:<12} {:>20} {:>20} {:>20} {:>20} {:>20}",
                    row.resource, row.held, row.maxheld, row.barrier, row.limit, row.failcnt
                )?;
                uid.clear();
                mark = ' ';
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn row() -> impl Strategy<Value = Row> {
        ("[a-z]{1,15}", any::<[u64; 5]>()).prop_map(
            |(resource, [held, maxheld, barrier, limit, failcnt])| Row {
                resource,
                held,
                maxheld,
                barrier,
                limit,
                failcnt,
            },
        )
    }

    fn listing() -> impl Strategy<Value = Listing> {
        let bc = (0u32..=0x7fff_ffff, vec(row(), 1..26)).prop_map(|(id, rows)| Beancounter {
            id: BcId::new(id).unwrap(),
            rows,
        });
        vec(bc, 0..4).prop_map(|beancounters| Listing { beancounters })
    }

    /// Bytes to put in, take out or change at places given as fractions.
    fn mutate(text: &str, edits: &[(u16, u8, u8)]) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        for &(place, what, byte) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = usize::from(place) % bytes.len();
            match what % 4 {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<Listing>();
        }

        #[test]
        fn any_rows_are_read_or_refused(body in "([ 0-9]{0,12}:? ?[a-z]{0,3}( {1,3}[0-9]{0,22}){0,6}\n){0,4}") {
            let head = Listing::default().to_string();
            if let Ok(read) = (head + &body).parse::<Listing>() {
                prop_assert!(read.beancounters.iter().all(|bc| !bc.rows.is_empty()));
            }
        }

        #[test]
        fn rendered_listing_round_trips(listing in listing()) {
            prop_assert_eq!(listing.to_string().parse::<Listing>(), Ok(listing));
        }

        #[test]
        fn damaged_listing_is_read_or_refused(
            listing in listing(),
            edits in vec(any::<(u16, u8, u8)>(), 1..8),
        ) {
            let damaged = mutate(&listing.to_string(), &edits);
            let text = String::from_utf8_lossy(&damaged);
            if let Ok(read) = text.parse::<Listing>() {
                // What was read means the same when it is written and read.
                prop_assert_eq!(read.to_string().parse::<Listing>(), Ok(read));
            }
        }
    }

    fn problem(text: &str) -> String {
        text.parse::<Listing>().unwrap_err().to_string()
    }

    #[test]
    fn refusals_name_the_line() {
        let head = Listing::default().to_string();
        assert_eq!(problem(""), "line 1: \"Version: 2.5\" expected");
        assert_eq!(
            problem("Version: 2.6\n"),
            "line 1: \"Version: 2.5\" expected"
        );
        assert_eq!(
            problem("Version: 2.5\n"),
            "line 2: the column names expected"
        );
        for (row, says) in [
            ("", "a resource expected"),
            ("a 1 2 3 4", "a resource with five numbers expected"),
            ("1: a 1 2 3 4 +5", "a resource with five numbers expected"),
            (
                "1: a 1 2 3 4 18446744073709551616",
                "a resource with five numbers expected",
            ),
            ("1: a 1 2 3 4 5 6", "a resource with five numbers expected"),
            (
                "1 a 1 2 3 4 5",
                "an id from 0 to 2147483647 and a colon expected",
            ),
            (
                "2147483648: a 1 2 3 4 5",
                "an id from 0 to 2147483647 and a colon expected",
            ),
            ("a 1 2 3 4 5", "an id expected before the first resource"),
        ] {
            assert_eq!(
                problem(&format!("{head}{row}\n")),
                format!("line 3: {says}")
            );
        }
    }

    /// The format's exact columns, as the kernel prints them.
    #[test]
    fn rendering_is_the_kernels() {
        let row = |resource: &str, limit| Row {
            resource: resource.to_owned(),
            held: 1,
            maxheld: 2,
            barrier: 3,
            limit,
            failcnt: 0,
        };
        let listing = Listing {
            beancounters: vec![Beancounter {
                id: BcId::MAX,
                rows: vec![row("kmemsize", crate::UNLIMITED), row("othersockbuf", 4)],
            }],
        };
        let expected = concat!(
            "Version: 2.5\n",
            "       uid  resource                     held              maxheld",
            "              barrier                limit              failcnt\n",
            "2147483647: kmemsize                        1                    2",
            "                    3  9223372036854775807                    0\n",
            "            othersockbuf                    1                    2",
            "                    3                    4                    0\n",
        );
        assert_eq!(listing.to_string(), expected);
    }
}
