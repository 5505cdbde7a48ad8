// SPDX-License-Identifier: GPL-2.0-only
//! `bcctl list`.

use crate::output::{Document, Failure, Output, REFUSED, Rows, null_if_unlimited};
use beancounter::{
    BcId, Call, Errno, Error, ErrorKind, Listing, Resource, Stat, StatOf, Support, UNLIMITED, Unit,
    list as read_listing, resources, support,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A beancounter as it is listed.
#[derive(Debug, Serialize)]
pub struct Entry {
    id: BcId,
    processes: u64,
    tasks: u64,
    resources: Vec<Counter>,
}

/// A resource of a beancounter as it is listed.
#[derive(Debug, Serialize)]
struct Counter {
    name: String,
    unit: Option<Unit>,
    enforced: bool,
    held: u64,
    maxheld: u64,
    #[serde(serialize_with = "null_if_unlimited")]
    barrier: u64,
    #[serde(serialize_with = "null_if_unlimited")]
    limit: u64,
    failcnt: u64,
}

pub fn list(output: &Output) -> crate::Result {
    let listing = read_listing().map_err(|error| vec![error.into()])?;
    if listing.beancounters.is_empty() && support() == Support::Off {
        return Err(vec![disabled()]);
    }
    let census = census(Path::new("/proc")).map_err(|error| {
        let errno = Errno::of(&error);
        vec![Failure::of_errno(
            format!("cannot count tasks: /proc is not readable ({errno}); valid: a mounted /proc"),
            errno,
            REFUSED,
        )]
    })?;
    let entries = entries(&listing, &census, &counted(&listing)?);
    output.table(&Document::Beancounters(&entries), || rows(&entries))
}

/// What the kernel answers where there can be no beancounter.
fn disabled() -> Failure {
    Failure::of_call("cannot list beancounters", Error::disabled(Call::GetBcstat))
}

/// The resources that the kernel counts.  They are the same for every
/// beancounter, so one that has not ended meanwhile is enough to ask about.
fn counted(listing: &Listing) -> crate::Result<Vec<Stat>> {
    for bc in &listing.beancounters {
        match resources(StatOf::Id(bc.id)) {
            Ok(stats) => return Ok(stats),
            Err(error) if error.kind() == ErrorKind::NoSuchBeancounter => {}
            Err(error) => {
                let what = format!("cannot read the resources of beancounter {}", bc.id);
                return Err(vec![Failure::of_call(&what, error)]);
            }
        }
    }
    Ok(Vec::new())
}

/// How many there are in a beancounter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Population {
    processes: u64,
    tasks: u64,
}

/// Counts the tasks that `proc` shows, by beancounter.  A process counts in
/// each one that a thread of it is in.
fn census(proc: &Path) -> std::io::Result<BTreeMap<BcId, Population>> {
    let mut census: BTreeMap<BcId, Population> = BTreeMap::new();
    for process in fs::read_dir(proc)? {
        let process = process?;
        let is_process = process
            .file_name()
            .as_encoded_bytes()
            .first()
            .is_some_and(u8::is_ascii_digit);
        if !is_process {
            continue;
        }
        // Whatever exits while it is looked at is not counted.
        let Ok(threads) = fs::read_dir(process.path().join("task")) else {
            continue;
        };
        let mut of_process: BTreeMap<BcId, u64> = BTreeMap::new();
        for thread in threads.flatten() {
            let Ok(status) = fs::read(thread.path().join("status")) else {
                continue;
            };
            if let Some(id) = bcid_of(&status) {
                *of_process.entry(id).or_default() += 1;
            }
        }
        for (id, tasks) in of_process {
            let population = census.entry(id).or_default();
            population.processes += 1;
            population.tasks += tasks;
        }
    }
    Ok(census)
}

/// The id in a `/proc/PID/status`.
fn bcid_of(status: &[u8]) -> Option<BcId> {
    // The first line is the command's name, in any bytes; a line break in it
    // is escaped.
    let status = String::from_utf8_lossy(status);
    let line = status.lines().find_map(|line| line.strip_prefix("Bcid:"))?;
    line.trim().parse().ok()
}

fn entries(listing: &Listing, census: &BTreeMap<BcId, Population>, counted: &[Stat]) -> Vec<Entry> {
    let entry = |bc: &beancounter::Beancounter| {
        let population = census.get(&bc.id).copied().unwrap_or_default();
        let counters = bc.rows.iter().filter(|row| row.resource != "dummy");
        Entry {
            id: bc.id,
            processes: population.processes,
            tasks: population.tasks,
            resources: counters
                .map(|row| {
                    let stat = counted.iter().find(|stat| stat.name == row.resource);
                    let known = || Resource::from_name(&row.resource).map(Resource::unit);
                    Counter {
                        name: row.resource.clone(),
                        unit: stat.and_then(|stat| stat.unit).or_else(known),
                        enforced: stat.is_some_and(|stat| stat.enforced),
                        held: row.held,
                        maxheld: row.maxheld,
                        barrier: row.barrier,
                        limit: row.limit,
                        failcnt: row.failcnt,
                    }
                })
                .collect(),
        }
    };
    listing.beancounters.iter().map(entry).collect()
}

pub fn bound(value: u64) -> String {
    if value == UNLIMITED {
        "unlimited".to_owned()
    } else {
        value.to_string()
    }
}

/// A line a beancounter, and one more for each further resource counted.
fn rows(entries: &[Entry]) -> Rows {
    const HEAD: [&str; 3] = ["BC", "PROCESSES", "TASKS"];
    const RESOURCE: [&str; 7] = [
        "RESOURCE", "UNIT", "HELD", "MAXHELD", "BARRIER", "LIMIT", "FAILCNT",
    ];

    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    let mut any_counted = false;
    for entry in entries {
        let mut row = vec![
            entry.id.to_string(),
            entry.processes.to_string(),
            entry.tasks.to_string(),
        ];
        let mut counters = entry.resources.iter().filter(|it| it.enforced).peekable();
        if counters.peek().is_none() {
            rows.push(row);
            continue;
        }
        any_counted = true;
        for counter in counters {
            row.extend([
                counter.name.clone(),
                counter.unit.map_or("-", Unit::name).to_owned(),
                counter.held.to_string(),
                counter.maxheld.to_string(),
                bound(counter.barrier),
                bound(counter.limit),
                counter.failcnt.to_string(),
            ]);
            rows.push(row);
            row = vec![String::new(); HEAD.len()];
        }
    }
    if any_counted {
        rows[0].extend(RESOURCE.map(str::to_owned));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::document;
    use crate::output::{Set, Step, Task};
    use std::path::PathBuf;

    fn listing() -> Listing {
        "Version: 2.5\n\
         uid resource held maxheld barrier limit failcnt\n\
         7: kmemsize 1 2 9223372036854775807 9223372036854775807 0\n\
         dummy 0 0 0 0 0\n\
         numproc 3 5 40 50 6\n\
         2147483647: kmemsize 0 0 0 0 0\n\
         dummy 0 0 0 0 0\n\
         numproc 11 12 9223372036854775807 9223372036854775807 0\n"
            .parse()
            .unwrap()
    }

    fn population() -> BTreeMap<BcId, Population> {
        [(
            BcId::new(7).unwrap(),
            Population {
                processes: 2,
                tasks: 3,
            },
        )]
        .into()
    }

    fn lines(entries: &[Entry]) -> Vec<String> {
        rows(entries).iter().map(|row| row.join(" ")).collect()
    }

    #[test]
    fn listing_without_a_counted_resource() {
        let entries = entries(&listing(), &population(), &[]);
        assert_eq!(
            lines(&entries),
            ["BC PROCESSES TASKS", "7 2 3", "2147483647 0 0"]
        );
    }

    #[test]
    fn an_empty_listing_is_its_head() {
        assert_eq!(lines(&[]), ["BC PROCESSES TASKS"]);
        assert_eq!(
            Document::Beancounters(&[]).line(),
            "{\"beancounters\":[]}\n"
        );
    }

    #[test]
    fn listing_with_a_counted_resource() {
        let mut entries = entries(&listing(), &population(), &[]);
        for entry in &mut entries {
            entry.resources[1].enforced = true;
        }
        entries[0].resources[0].enforced = true;
        assert_eq!(
            lines(&entries),
            [
                "BC PROCESSES TASKS RESOURCE UNIT HELD MAXHELD BARRIER LIMIT FAILCNT",
                "7 2 3 kmemsize bytes 1 2 unlimited unlimited 0",
                "   numproc count 3 5 40 50 6",
                "2147483647 0 0 numproc count 11 12 unlimited unlimited 0",
            ]
        );
    }

    #[test]
    fn listing_as_json() {
        let entries = entries(&listing(), &population(), &[]);
        assert_eq!(
            Document::Beancounters(&entries[..1]).line(),
            "{\"beancounters\":[{\"id\":7,\"processes\":2,\"tasks\":3,\"resources\":[\
             {\"name\":\"kmemsize\",\"unit\":\"bytes\",\"enforced\":false,\"held\":1,\"maxheld\":2,\
             \"barrier\":null,\"limit\":null,\"failcnt\":0},\
             {\"name\":\"numproc\",\"unit\":\"count\",\"enforced\":false,\"held\":3,\"maxheld\":5,\
             \"barrier\":40,\"limit\":50,\"failcnt\":6}]}]}\n"
        );
    }

    #[test]
    fn ids_in_status() {
        let status = b"Name:\tBcid: 9\nUmask:\t0022\nBcid:\t7\nPid:\t1\n";
        assert_eq!(bcid_of(status), Some(BcId::new(7).unwrap()));
        assert_eq!(bcid_of(b"Name:\t\xff\nBcid:\t0\n"), Some(BcId::HOST));
        assert_eq!(bcid_of(b"Name:\tsh\nPid:\t1\n"), None);
        assert_eq!(bcid_of(b"Bcid:\t-1\n"), None);
        assert_eq!(bcid_of(b""), None);
    }

    /// A directory that looks like /proc and goes away with the value.
    struct Proc(PathBuf);

    impl Proc {
        fn new(tasks: &[(u32, u32, &str)]) -> Self {
            let dir = std::env::temp_dir().join(format!("bcctl-census-{}", std::process::id()));
            fs::create_dir(&dir).unwrap();
            for (pid, tid, status) in tasks {
                let task = dir.join(format!("{pid}/task/{tid}"));
                fs::create_dir_all(&task).unwrap();
                fs::write(task.join("status"), status).unwrap();
            }
            fs::create_dir(dir.join("sys")).unwrap();
            fs::create_dir(dir.join("99")).unwrap();
            Self(dir)
        }
    }

    impl Drop for Proc {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn tasks_are_counted_where_they_are() {
        let proc = Proc::new(&[
            (1, 1, "Bcid:\t0\n"),
            (2, 2, "Bcid:\t7\n"),
            (2, 3, "Bcid:\t7\n"),
            (4, 4, "Bcid:\t7\n"),
            (4, 5, "Bcid:\t8\n"),
            (6, 6, "Pid:\t6\n"),
        ]);
        let census = census(&proc.0).unwrap();
        let of = |id| census.get(&BcId::new(id).unwrap()).copied();
        let population = |processes, tasks| Some(Population { processes, tasks });
        assert_eq!(of(0), population(1, 1));
        assert_eq!(of(7), population(2, 3));
        assert_eq!(of(8), population(1, 1));
        assert_eq!(census.len(), 3);
    }

    fn limits() -> Set {
        let settings = ["numproc=40:50", "kmemsize=1M:unlimited"];
        document(BcId::MAX, &settings.map(|text| text.parse().unwrap()))
    }

    #[test]
    fn bounds_as_json() {
        assert_eq!(
            Document::Set(&limits()).line(),
            "{\"set\":{\"id\":2147483647,\"limits\":[\
             {\"name\":\"numproc\",\"unit\":\"count\",\"barrier\":40,\"limit\":50},\
             {\"name\":\"kmemsize\",\"unit\":\"bytes\",\"barrier\":1048576,\"limit\":null}]}}\n"
        );
    }

    fn schema() -> jsonschema::Validator {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../Documentation/bcctl-json.schema.json"
        );
        let schema = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    }

    #[test]
    fn every_document_is_as_the_schema_says() {
        let schema = schema();
        let task = |pid| Task { pid, id: BcId::MAX };
        let tasks = [task(1), task(2)];
        let entries = entries(&listing(), &population(), &[]);
        let failure = disabled();
        let usage = Failure::of_usage("error: no\n\nUsage: bcctl\n", 2);
        assert_eq!(usage.message, "no\n\nUsage: bcctl");
        let (id, limits, stat) = (BcId::MAX, limits(), crate::stat::tests::answer());
        let steps = [
            Step::Create { id },
            Step::Set(limits.clone()),
            Step::Move(task(4)),
            Step::Release { id },
            Step::Run {
                id,
                command: vec!["true".to_owned()],
            },
        ];
        let listing = Failure::from(beancounter::ListError::Io(
            std::io::Error::from_raw_os_error(libc::EACCES),
        ));
        let format = Failure::from(beancounter::ListError::Parse(
            "".parse::<Listing>().unwrap_err(),
        ));
        for document in [
            Document::Run(task(3)),
            Document::Set(&limits),
            Document::Stat(&stat),
            Document::Release { id },
            Document::Completions {
                shell: "bash",
                script: "x",
            },
            Document::DryRun(&steps),
            Document::Error(&usage),
            Document::Tasks(&tasks),
            Document::Beancounters(&entries),
            Document::Beancounters(&[]),
            Document::Error(&failure),
            Document::Error(&listing),
            Document::Error(&format),
        ] {
            let line = document.line();
            let value = serde_json::from_str(&line).unwrap();
            if let Err(error) = schema.validate(&value) {
                panic!("{line}{error}");
            }
        }
    }

    /// The schema is strict: a key more, a key less or a wrong type is refused.
    #[test]
    fn the_schema_refuses_other_documents() {
        let schema = schema();
        for line in [
            "{}",
            "[]",
            r#"{"tasks":[]}"#,
            r#"{"tasks":[{"pid":1}]}"#,
            r#"{"tasks":[{"pid":0,"id":1}]}"#,
            r#"{"tasks":[{"pid":1,"id":2147483648}]}"#,
            r#"{"tasks":[{"pid":1,"id":1,"more":1}]}"#,
            r#"{"tasks":[{"pid":1,"id":1}],"run":{"pid":1,"id":1}}"#,
            r#"{"run":{"pid":"1","id":1}}"#,
            r#"{"beancounters":[{"id":0,"processes":0,"tasks":0,"resources":[]}]}"#,
            r#"{"beancounters":[{"id":1,"processes":-1,"tasks":0,"resources":[]}]}"#,
            r#"{"set":{"id":0,"limits":[{"name":"numproc","unit":"count","barrier":1,"limit":1}]}}"#,
            r#"{"set":{"id":1,"limits":[]}}"#,
            r#"{"set":{"id":1,"limits":[{"name":"numproc","unit":"count","barrier":1}]}}"#,
            r#"{"stat":{"id":1}}"#,
            r#"{"stat":{"id":1,"resources":[{"name":"numproc"}]}}"#,
            r#"{"release":{"id":0}}"#,
            r#"{"completions":{"shell":"csh","script":"x"}}"#,
            r#"{"dry_run":[]}"#,
            r#"{"dry_run":[{"frob":{"id":1}}]}"#,
            r#"{"dry_run":[{"run":{"id":1,"command":[]}}]}"#,
            r#"{"error":{"message":"","call":null,"errno":null}}"#,
            r#"{"error":{"message":"x","call":"open","errno":null}}"#,
        ] {
            let value = serde_json::from_str(line).unwrap();
            assert!(!schema.is_valid(&value), "{line}");
        }
    }
}
