// SPDX-License-Identifier: GPL-2.0-only
//! `bcctl stat`.

use crate::cli::StatArgs;
use crate::list::bound;
use crate::output::{Document, Failure, Output, Rows, null_if_unlimited};
use beancounter::{BcId, Stat, StatFlags, StatOf, Target, Unit, get_bcid, get_bcstat, resources};
use serde::Serialize;

/// What a beancounter holds.
#[derive(Debug, Serialize)]
pub struct Answer {
    id: BcId,
    resources: Vec<Counter>,
}

/// A resource of it.
#[derive(Debug, Serialize)]
struct Counter {
    name: String,
    unit: Option<Unit>,
    enforced: bool,
    held: u64,
    maxheld: u64,
    minheld: u64,
    #[serde(serialize_with = "null_if_unlimited")]
    barrier: u64,
    #[serde(serialize_with = "null_if_unlimited")]
    limit: u64,
    failcnt: u64,
    barrier_hits: u64,
    forced: u64,
}

impl From<Stat> for Counter {
    fn from(stat: Stat) -> Self {
        Self {
            name: stat.name,
            unit: stat.unit,
            enforced: stat.enforced,
            held: stat.held,
            maxheld: stat.maxheld,
            minheld: stat.minheld,
            barrier: stat.barrier,
            limit: stat.limit,
            failcnt: stat.failcnt,
            barrier_hits: stat.barrier_hits,
            forced: stat.forced,
        }
    }
}

pub fn stat(output: &Output, arguments: &StatArgs) -> crate::Result {
    let (id, of) = match arguments.id {
        Some(id) => (id, StatOf::Id(id)),
        None => {
            let id = get_bcid(Target::PROCESS)
                .map_err(|error| vec![Failure::of_call("cannot read the own id", error)])?;
            (id, StatOf::Own)
        }
    };
    let flags = if arguments.reset {
        StatFlags::RESET
    } else {
        StatFlags::empty()
    };

    let mut numbers: Vec<(u32, String)> = Vec::new();
    if arguments.resources.is_empty() {
        let counted = resources(of).map_err(|error| {
            let what = format!("cannot read the resources of beancounter {id}");
            vec![Failure::of_call(&what, error)]
        })?;
        numbers.extend(counted.into_iter().map(|it| (it.number, it.name)));
    } else {
        let named = arguments.resources.iter();
        numbers.extend(named.map(|it| (it.number(), it.name().to_owned())));
    }

    let mut answer = Answer {
        id,
        resources: Vec::new(),
    };
    let mut failures = Vec::new();
    for (number, name) in numbers {
        match get_bcstat(of, number, flags) {
            Ok(stat) => answer.resources.push(stat.into()),
            Err(error) => {
                let what = format!("cannot read {name} of beancounter {id}");
                failures.push(Failure::of_call(&what, error));
            }
        }
    }
    if failures.is_empty() || !answer.resources.is_empty() {
        output.table(&Document::Stat(&answer), || rows(&answer))?;
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(failures)
}

/// A line a resource.
fn rows(answer: &Answer) -> Rows {
    const HEAD: [&str; 9] = [
        "RESOURCE", "UNIT", "HELD", "MAXHELD", "BARRIER", "LIMIT", "FAILCNT", "HITS", "FORCED",
    ];
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    for counter in &answer.resources {
        let mut row = vec![
            counter.name.clone(),
            counter.unit.map_or("-", Unit::name).to_owned(),
        ];
        if counter.enforced {
            row.extend([
                counter.held.to_string(),
                counter.maxheld.to_string(),
                bound(counter.barrier),
                bound(counter.limit),
                counter.failcnt.to_string(),
                counter.barrier_hits.to_string(),
                counter.forced.to_string(),
            ]);
        } else {
            // Nothing is counted: the numbers say nothing.
            row.resize(HEAD.len(), "-".to_owned());
        }
        rows.push(row);
    }
    rows
}

#[cfg(test)]
pub mod tests {
    use super::*;

    fn counter(name: &str, enforced: bool) -> Counter {
        Counter {
            name: name.to_owned(),
            unit: Some(Unit::Count),
            enforced,
            held: 3,
            maxheld: 5,
            minheld: 1,
            barrier: 40,
            limit: beancounter::UNLIMITED,
            failcnt: 6,
            barrier_hits: 7,
            forced: 8,
        }
    }

    /// An answer with a resource that is counted and one that is not.
    pub fn answer() -> Answer {
        Answer {
            id: BcId::MAX,
            resources: vec![counter("numproc", true), counter("numfile", false)],
        }
    }

    #[test]
    fn a_line_a_resource() {
        let rows = rows(&answer());
        let line = |index: usize| rows[index].join(" ");
        assert_eq!(
            line(0),
            "RESOURCE UNIT HELD MAXHELD BARRIER LIMIT FAILCNT HITS FORCED"
        );
        assert_eq!(line(1), "numproc count 3 5 40 unlimited 6 7 8");
        assert_eq!(line(2), "numfile count - - - - - - -");
    }

    #[test]
    fn json_has_every_number() {
        let mut answer = answer();
        answer.resources.truncate(1);
        assert_eq!(
            Document::Stat(&answer).line(),
            "{\"stat\":{\"id\":2147483647,\"resources\":[{\"name\":\"numproc\",\
             \"unit\":\"count\",\"enforced\":true,\"held\":3,\"maxheld\":5,\"minheld\":1,\
             \"barrier\":40,\"limit\":null,\"failcnt\":6,\"barrier_hits\":7,\"forced\":8}]}}\n"
        );
    }
}
