// SPDX-License-Identifier: GPL-2.0-only
//! The command line.

use beancounter::BcId;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;

const AFTER_HELP: &str = "\
Exit status: 0 done, 1 refused, 2 wrong usage.  `run` becomes its command and
so has that one's (as a shell shows it, 128+N if signal N killed it); 126 if
the command cannot be executed, 127 if it is not found.

A beancounter's id is a number from 0 to 2147483647; 0 is the host, in which
nothing is counted.  A beancounter begins when the first task is moved into it
and ends when the last one in it has exited.

--json writes one line of JSON to standard output (`run`: to standard error),
and each refusal as one line of JSON to standard error; the shapes are in
Documentation/bcctl-json.schema.json.";

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
    Run(RunArgs),
    /// Move running processes into a beancounter
    ///
    /// Moves each process with all its threads, and prints "PID: ID" for each
    /// one moved.  If a PID does not exist, none is moved.  Children that a
    /// process has already stay where they are.
    Attach(AttachArgs),
    /// Print which beancounter processes are in
    ///
    /// Prints "PID: ID" for each PID; without a PID only the id that bcctl
    /// itself has, which is that of the shell that started it.
    Get(GetArgs),
    /// List the beancounters
    ///
    /// Lists each beancounter with the number of processes that have a thread
    /// in it and of the tasks (threads) in it that /proc shows, and the
    /// resources that this kernel counts for it.  Whoever lacks
    /// CAP_SYS_RESOURCE sees the own beancounter only.  The host is not listed.
    List,
}

#[derive(Debug, Args)]
#[command(override_usage = "bcctl run [--json] --id <N> -- <CMD>...")]
pub struct RunArgs {
    /// The beancounter's id, 0 (the host) to 2147483647
    #[arg(long, value_name = "N")]
    pub id: BcId,
    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    pub command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct AttachArgs {
    /// The beancounter's id, 0 (the host) to 2147483647
    #[arg(long, value_name = "N")]
    pub id: BcId,
    #[command(flatten)]
    pub tasks: Tasks,
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

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
}
