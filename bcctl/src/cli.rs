// SPDX-License-Identifier: GPL-2.0-only
//! The command line.

use beancounter::{BcId, Resource, Setting, SettingError};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use std::ffi::OsString;

const AFTER_HELP: &str = "\
Exit status: 0 done, 1 refused, 2 wrong usage.  `run` becomes its command and
so has that one's (as a shell shows it, 128+N if signal N killed it); 126 if
the command cannot be executed, 127 if it is not found.

A beancounter's id is a number from 0 to 2147483647; 0 is the host, in which
nothing is counted.  A beancounter begins when the first task is moved into it
or limits are set, and ends when the last task in it has exited; one with
limits, only once it was released, too.

A resource's bounds are written RES=BARRIER[:LIMIT]: ordinary requests are
refused over the barrier, those that the kernel would rather not refuse over
the limit, which is the barrier if it is not given.  Both are in the resource's
unit (pages, bytes or a count), with K, M, G or T for powers of 1024, or
`unlimited`.  The resources are
  bytes  kmemsize tcpsndbuf tcprcvbuf othersockbuf dgramrcvbuf dcachesize
  pages  lockedpages privvmpages shmpages physpages vmguarpages oomguarpages
         swappages
  count  numproc numtcpsock numflock numpty numsiginfo numothersock numfile
         numiptent
of which `bcctl stat` shows those that the running kernel counts.

--json writes one line of JSON to standard output (`run`: to standard error),
and each refusal, wrong usage included, as one line of JSON to standard error;
the shapes are in Documentation/bcctl-json.schema.json.";

const LIMIT: &str = "RES=BARRIER[:LIMIT]";
const HOST_LIMITS: &str = "the host has no limits (EINVAL); valid: ids 1 to 2147483647";

/// Control and show resource beancounters
#[derive(Debug, Parser)]
#[command(name = "bcctl", version, after_help = AFTER_HELP, max_term_width = 80)]
pub struct Cli {
    /// Write JSON
    #[arg(long, global = true)]
    pub json: bool,

    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a command in a beancounter
    ///
    /// Enters the beancounter and becomes the command: same process, same
    /// exit status, a signal that kills it included.  What the command starts
    /// is in that beancounter too.  With --json, the line {"run":{"id":N,"pid":P}}
    /// on standard error says that the beancounter is entered.
    ///
    /// With --limit the bounds are set before the command starts.  A
    /// beancounter that `run` created ends with the last task in it, unless
    /// there is --keep; one that was there before is left as `set` leaves it.
    /// One without a task may just be ending: `run` waits for that for up to a
    /// second.
    Run(RunArgs),
    /// Move running processes into a beancounter
    ///
    /// Moves each process with all its threads, and prints "PID: ID" for each
    /// one moved.  If a PID does not exist, none is moved.  Children that a
    /// process has already stay where they are.
    Attach(AttachArgs),
    /// Set bounds of resources
    ///
    /// Sets them one after the other, and prints "ID: RES=BARRIER:LIMIT" for
    /// each that was set.  Nothing is set if one of them is not valid or not
    /// counted by the kernel.  Bounds below what is held refuse what is asked
    /// for from then on.  The beancounter is created if it is not there, and
    /// stays without a task in it until it is released.
    Set(SetArgs),
    /// Print which beancounter processes are in
    ///
    /// Prints "PID: ID" for each PID; without a PID only the id that bcctl
    /// itself has, which is that of the shell that started it.
    Get(GetArgs),
    /// Show what a beancounter holds
    ///
    /// Shows each resource that the kernel counts, or each RES: what is held
    /// and the most that was, the bounds, and how often a request was refused
    /// (FAILCNT), the barrier was crossed (HITS) and how much could not be
    /// refused (FORCED).
    Stat(StatArgs),
    /// List the beancounters
    ///
    /// Lists each beancounter with the number of processes that have a thread
    /// in it and of the tasks (threads) in it that /proc shows, and the
    /// resources that this kernel counts for it.  Whoever lacks
    /// CAP_SYS_RESOURCE sees the own beancounter only.  The host is not listed.
    List,
    /// Let a beancounter end with its last task
    ///
    /// Undoes what keeps a beancounter with limits.  They hold on for the tasks
    /// that are in it, and go with the last of them.
    Release(ReleaseArgs),
    /// Print a script that completes bcctl's command line
    ///
    /// For example in ~/.bashrc: source <(bcctl completions bash)
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
#[command(override_usage = "bcctl run [OPTIONS] --id <N> -- <CMD>...")]
pub struct RunArgs {
    /// The beancounter's id, 0 (the host) to 2147483647
    #[arg(long, value_name = "N")]
    pub id: BcId,
    /// Set bounds of a resource; may be given for several
    #[arg(long = "limit", value_name = LIMIT)]
    pub limits: Vec<Setting>,
    /// Keep the beancounter when the command has ended
    #[arg(long, requires = "limits")]
    pub keep: bool,
    #[command(flatten)]
    pub dry_run: DryRun,
    /// The command and its arguments
    #[arg(
        value_name = "CMD",
        required = true,
        trailing_var_arg = true,
        value_hint = ValueHint::CommandWithArguments
    )]
    pub command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct SetArgs {
    /// The beancounter's id, 1 to 2147483647
    #[arg(long, value_name = "N", value_parser = limited)]
    pub id: BcId,
    #[command(flatten)]
    pub dry_run: DryRun,
    /// The resources and their bounds
    #[arg(value_name = LIMIT, required = true)]
    pub limits: Vec<Setting>,
}

#[derive(Debug, Args)]
pub struct StatArgs {
    /// The beancounter's id, 0 (the host) to 2147483647 [default: that of bcctl]
    #[arg(long, value_name = "N")]
    pub id: Option<BcId>,
    /// Restart MAXHELD at what is held, after it was read
    #[arg(long)]
    pub reset: bool,
    /// The resources [default: all that the kernel counts]
    #[arg(value_name = "RES", value_parser = resource())]
    pub resources: Vec<Resource>,
}

#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// The beancounter's id, 1 to 2147483647
    #[arg(long, value_name = "N", value_parser = limited)]
    pub id: BcId,
    #[command(flatten)]
    pub dry_run: DryRun,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct DryRun {
    /// Check the arguments and the privilege, say what would be done, do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct AttachArgs {
    /// The beancounter's id, 0 (the host) to 2147483647
    #[arg(long, value_name = "N")]
    pub id: BcId,
    #[command(flatten)]
    pub tasks: Tasks,
    #[command(flatten)]
    pub dry_run: DryRun,
    /// The processes
    #[arg(value_name = "PID", required = true, value_parser = pid())]
    pub pids: Vec<libc::pid_t>,
}

#[derive(Debug, Args)]
pub struct GetArgs {
    #[command(flatten)]
    pub tasks: Tasks,
    /// The processes
    #[arg(value_name = "PID", value_parser = pid())]
    pub pids: Vec<libc::pid_t>,
}

#[derive(Debug, Args)]
pub struct Tasks {
    /// Each PID is the number of a single thread
    #[arg(long)]
    pub thread: bool,
}

fn pid() -> clap::builder::RangedI64ValueParser<libc::pid_t> {
    clap::value_parser!(libc::pid_t).range(1..)
}

/// A resource by its name.
fn resource() -> impl TypedValueParser<Value = Resource> {
    let names = Resource::ALL.iter().map(|it| it.name());
    PossibleValuesParser::new(names)
        .try_map(|name| Resource::from_name(&name).ok_or(SettingError::UnknownResource))
}

/// The id of a beancounter that can have limits.
fn limited(text: &str) -> Result<BcId, String> {
    match text.parse::<BcId>() {
        Ok(id) if id.is_host() => Err(HOST_LIMITS.to_owned()),
        Ok(id) => Ok(id),
        Err(error) => Err(error.to_string()),
    }
}

/// What clap cannot know of a command line that it took.
fn check(cli: &Cli) -> Result<(), clap::Error> {
    let limits = match &cli.verb {
        Verb::Run(run) if run.id.is_host() && !run.limits.is_empty() => {
            return Err(wrong(HOST_LIMITS));
        }
        Verb::Run(run) => &run.limits,
        Verb::Set(set) => &set.limits,
        _ => return Ok(()),
    };
    for (index, setting) in limits.iter().enumerate() {
        let resource = setting.resource;
        if limits[..index].iter().any(|it| it.resource == resource) {
            return Err(wrong(&format!(
                "two pairs of bounds for {resource} (EINVAL); valid: one for each resource"
            )));
        }
    }
    Ok(())
}

fn wrong(message: &str) -> clap::Error {
    Cli::command().error(ErrorKind::ValueValidation, message)
}

/// Reads the command line whole, before anything is done.
pub fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let cli = Cli::try_parse_from(arguments)?;
    check(&cli)?;
    Ok(cli)
}

/// Whether an error in the command line is to be told in JSON: it was asked for
/// outside of the command of `run`.
pub fn asks_for_json(arguments: &[OsString]) -> bool {
    let mut own = arguments.iter().take_while(|it| *it != "--");
    own.any(|it| it == "--json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use beancounter::Unit;

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_of_the_command_are_its_own() {
        let cli = Cli::parse_from(["bcctl", "run", "--id", "7", "ls", "--json", "--id", "x"]);
        assert!(!cli.json);
        let Verb::Run(run) = cli.verb else {
            panic!("not run: {cli:?}");
        };
        assert_eq!(run.id, BcId::new(7).unwrap());
        assert_eq!(run.command, ["ls", "--json", "--id", "x"]);
    }

    fn read(arguments: &[&str]) -> Result<Cli, clap::Error> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        parse(&arguments)
    }

    #[test]
    fn limits_are_checked_whole() {
        let set = ["bcctl", "set", "--id", "1", "numproc=1:2", "kmemsize=1M"];
        assert!(read(&set).is_ok());
        for (last, says) in [
            ("numproc=3", "two pairs of bounds for numproc (EINVAL)"),
            ("numfile", "a resource without bounds (EINVAL)"),
            ("dummy=1", "no resource has this name (EINVAL)"),
            (
                "numfile=2:1",
                "barrier 2 is over limit 1 (EINVAL); valid: 0 to 1",
            ),
            ("numfile=8388608T", "too large a bound (EINVAL)"),
            ("numfile=", "not a bound (EINVAL)"),
        ] {
            let error = read(&[&set[..], &[last]].concat()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            let run = [
                "bcctl",
                "run",
                "--id",
                "1",
                "--limit",
                "numproc=1",
                "--limit",
                last,
            ];
            let error = read(&[&run[..], &["--", "true"]].concat())
                .unwrap_err()
                .to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_host_has_no_limits() {
        for arguments in [
            &["bcctl", "set", "--id", "0", "numproc=1"][..],
            &["bcctl", "release", "--id", "0"],
            &["bcctl", "run", "--id", "0", "--limit", "numproc=1", "true"],
        ] {
            let error = read(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(HOST_LIMITS), "{error}");
        }
        assert!(read(&["bcctl", "run", "--id", "0", "true"]).is_ok());
    }

    #[test]
    fn json_is_asked_for_before_the_command() {
        let asks = |text: &str| {
            let arguments: Vec<OsString> = text.split(' ').map(OsString::from).collect();
            asks_for_json(&arguments)
        };
        assert!(asks("bcctl --json frob"));
        assert!(asks("bcctl run --id x --json -- true"));
        assert!(!asks("bcctl run --id x -- true --json"));
        assert!(!asks("bcctl list x"));
    }

    /// Each resource is in the help, behind its unit.
    #[test]
    fn the_help_names_every_resource() {
        let mut unit = "";
        let mut named = Vec::new();
        let lines = AFTER_HELP
            .lines()
            .skip_while(|line| !line.ends_with("resources are"));
        for line in lines.skip(1).take_while(|line| line.starts_with("  ")) {
            let (head, names) = line.split_at(9);
            if !head.trim().is_empty() {
                unit = head.trim();
            }
            named.extend(names.split_whitespace().map(|name| (unit, name)));
        }
        for unit in [Unit::Bytes, Unit::Pages, Unit::Count] {
            let of_unit = |it: &&(&str, &str)| it.0 == unit.name();
            let expected: Vec<_> = Resource::ALL
                .iter()
                .filter(|it| it.unit() == unit)
                .map(|it| (unit.name(), it.name()))
                .collect();
            assert_eq!(
                named.iter().filter(of_unit).copied().collect::<Vec<_>>(),
                expected
            );
        }
        assert_eq!(named.len(), Resource::ALL.len());
    }
}
