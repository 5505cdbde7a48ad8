// SPDX-License-Identifier: GPL-2.0-only
//! bcctl as a user runs it, as far as it goes on a kernel that need not have
//! beancounters.  tests/vm has the rest.

mod common;

use beancounter::{Support, support};
use common::VERBS;
use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Output, Stdio};

fn bcctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bcctl"));
    command.args(arguments);
    command
}

/// Status, standard output and standard error.
fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn built() -> bool {
    support() != Support::NotBuilt
}

const NOT_BUILT: &str = "this kernel has no beancounters (ENOSYS); valid: a kernel built with \
     CONFIG_BEANCOUNTERS=y, and no seccomp filter on the call";

#[test]
fn help_and_version() {
    let (status, stdout, stderr) = outcome(&mut bcctl(&["--version"]));
    assert_eq!(stdout, concat!("bcctl ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!((status, stderr.as_str()), (Some(0), ""));

    for verb in VERBS {
        let (status, stdout, stderr) = outcome(&mut bcctl(&[verb, "--help"]));
        assert!(stdout.contains(&format!("Usage: bcctl {verb}")), "{stdout}");
        assert!(stdout.contains("--json"), "{stdout}");
        assert_eq!((status, stderr.as_str()), (Some(0), ""));
        let (_, all, _) = outcome(&mut bcctl(&["--help"]));
        assert!(all.contains(&format!("\n  {verb} ")), "{all}");
        for line in stdout.lines().chain(all.lines()) {
            assert!(line.len() <= 80, "{line}");
        }
    }
}

#[test]
fn wrong_usage_is_2_and_says_what_is_valid() {
    for (arguments, says) in [
        (&[][..], "Usage: bcctl"),
        (&["frob"], "unrecognized subcommand 'frob'"),
        (&["run", "--", "true"], "--id <N>"),
        (&["run", "--id", "1"], "<CMD>"),
        (&["run", "--id", "1", "--frob", "true"], "'--frob'"),
        (&["run", "--id", "-1", "--", "true"], "'-1'"),
        (
            &["run", "--id", "2147483648", "--", "true"],
            "0 (the host) to 2147483647",
        ),
        (&["run", "--id", "", "--", "true"], "--id <N>"),
        (
            &["run", "--id", "x", "--", "true"],
            "0 (the host) to 2147483647",
        ),
        (&["attach", "--id", "1"], "<PID>"),
        (&["attach", "1"], "--id <N>"),
        (&["attach", "--id", "1", "x"], "'x'"),
        (&["attach", "--id", "1", "0"], "1..=2147483647"),
        (&["attach", "--id", "1", "2147483648"], "1..=2147483647"),
        (&["get", "0"], "1..=2147483647"),
        (&["get", "-5"], "'-5'"),
        (&["list", "1"], "'1'"),
        (
            &["run", "--id", "1", "--limit", "numproc=x", "--", "true"],
            "not a bound (EINVAL); valid: 0 to 9223372036854775806",
        ),
        (
            &["run", "--id", "1", "--limit", "numproc=2:1", "--", "true"],
            "barrier 2 is over limit 1 (EINVAL); valid: 0 to 1",
        ),
        (
            &["run", "--id", "0", "--limit", "numproc=1", "--", "true"],
            "the host has no limits (EINVAL); valid: ids 1 to 2147483647",
        ),
        (&["run", "--id", "1", "--keep", "--", "true"], "--limit"),
        (&["set", "--id", "1"], "<RES=BARRIER[:LIMIT]>"),
        (&["set", "numproc=1"], "--id <N>"),
        (
            &["set", "--id", "0", "numproc=1"],
            "valid: ids 1 to 2147483647",
        ),
        (
            &["set", "--id", "1", "numproc"],
            "a resource without bounds (EINVAL); valid: RESOURCE=BARRIER[:LIMIT]",
        ),
        (
            &["set", "--id", "1", "dummy=1"],
            "no resource has this name (EINVAL); valid: kmemsize, ",
        ),
        (
            &["set", "--id", "1", "numproc=9223372036854775808"],
            "too large a bound (EINVAL); valid: 0 to 9223372036854775806",
        ),
        (
            &["set", "--id", "1", "numproc=1", "numproc=2"],
            "two pairs of bounds for numproc (EINVAL); valid: one for each resource",
        ),
        (&["stat", "dummy"], "[possible values: kmemsize, "),
        (&["release"], "--id <N>"),
        (&["release", "--id", "0"], "valid: ids 1 to 2147483647"),
        (&["completions", "csh"], "[possible values: bash, "),
    ] {
        let (status, stdout, stderr) = outcome(&mut bcctl(arguments));
        assert_eq!(status, Some(2), "{arguments:?}: {stderr}");
        assert_eq!(stdout, "", "{arguments:?}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
        assert!(!stderr.to_lowercase().contains("success"), "{stderr}");

        // The same as one line of JSON.
        let (status, stdout, stderr) = outcome(bcctl(&["--json"]).args(arguments));
        assert_eq!((status, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        let value: serde_json::Value = serde_json::from_str(&stderr).unwrap();
        let message = value["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{arguments:?}: {message}");
    }
}

#[test]
fn a_kernel_without_beancounters_is_named_so() {
    let pid = std::process::id().to_string();
    for (arguments, what) in [
        (
            &["run", "--id", "100", "--", "true"][..],
            "cannot enter beancounter 100: set_bcid",
        ),
        (
            &["attach", "--id", "100", &pid],
            &format!("cannot move {pid} into beancounter 100: set_bcid"),
        ),
        (&["get"], "cannot read the own id: get_bcid"),
        (
            &["get", &pid],
            &format!("cannot read the id of {pid}: get_bcid"),
        ),
        (&["list"], "cannot list beancounters: get_bcid"),
        (&["stat"], "cannot read the own id: get_bcid"),
        (
            &["stat", "--id", "100"],
            "cannot read the resources of beancounter 100: get_bcstat",
        ),
        (
            &["stat", "--id", "100", "numproc"],
            "cannot read numproc of beancounter 100: get_bcstat",
        ),
        (
            &["set", "--id", "100", "numproc=5"],
            "cannot set numproc of beancounter 100: get_bcstat",
        ),
        (
            &["set", "--dry-run", "--id", "100", "numproc=5"],
            "cannot set numproc of beancounter 100: get_bcstat",
        ),
        (
            &["run", "--id", "100", "--limit", "numproc=5", "--", "true"],
            "cannot set numproc of beancounter 100: get_bcstat",
        ),
        (
            &["run", "--dry-run", "--id", "100", "--", "true"],
            "cannot enter beancounter 100: set_bcid",
        ),
        (
            &["attach", "--dry-run", "--id", "100", &pid],
            "cannot move tasks into beancounter 100: set_bcid",
        ),
        (
            &["release", "--id", "100"],
            "cannot release beancounter 100: set_bclimit",
        ),
        (
            &["release", "--dry-run", "--id", "100"],
            "cannot release beancounter 100: set_bclimit",
        ),
    ] {
        if built() {
            // Nothing is moved here: only what reads is run.
            if arguments.len() == 1 {
                let (status, _, stderr) = outcome(&mut bcctl(arguments));
                assert!(!stderr.contains("ENOSYS"), "{stderr}");
                assert!(status == Some(0) || stderr.contains("bc=off"), "{stderr}");
            }
            continue;
        }
        let (status, stdout, stderr) = outcome(&mut bcctl(arguments));
        assert_eq!(stderr, format!("bcctl: {what}: {NOT_BUILT}\n"));
        assert_eq!((status, stdout.as_str()), (Some(1), ""));

        let (status, stdout, stderr) = outcome(bcctl(&["--json"]).args(arguments));
        let (_, call) = what.rsplit_once(' ').unwrap();
        assert_eq!(
            stderr,
            format!(
                "{{\"error\":{{\"message\":\"{what}: {NOT_BUILT}\",\"call\":\"{call}\",\
                 \"errno\":\"ENOSYS\"}}}}\n"
            )
        );
        assert_eq!((status, stdout.as_str()), (Some(1), ""));
    }
}

#[test]
fn a_pid_that_does_not_exist() {
    for arguments in [
        &["get", "2147483647"][..],
        &["attach", "--id", "100", "2147483647"],
        &["get", "--thread", "2147483647"],
    ] {
        let (status, stdout, stderr) = outcome(&mut bcctl(arguments));
        assert!(
            stderr.ends_with(
                ": pidfd_open: no such process (ESRCH); valid: the number of a running process, \
                 1 to kernel.pid_max\n"
            ),
            "{stderr}"
        );
        assert_eq!((status, stdout.as_str()), (Some(1), ""));
    }
}

#[test]
fn a_reader_that_has_gone_is_no_panic() {
    let closed = || {
        let mut ends = [0; 2];
        // SAFETY: pipe writes two descriptors into the array.
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
        // SAFETY: both were just made and nothing else owns them.
        let [reader, writer] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
        drop(reader);
        writer
    };
    // With the signal at its default, it ends bcctl like any other tool.
    let mut command = bcctl(&["--help"]);
    // SAFETY: signal is async-signal-safe, as code before exec has to be.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            Ok(())
        });
    }
    let output = command
        .stdout(closed())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.signal(), Some(libc::SIGPIPE));
    assert_eq!(output.stderr, b"");

    // With the signal ignored, bcctl is told and says so.
    let mut command = bcctl(&["--help"]);
    // SAFETY: as above.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            Ok(())
        });
    }
    let output = command
        .stdout(closed())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "bcctl: cannot write the answer (EPIPE); valid: a standard output that is open and has \
         room\n"
    );
}

#[test]
fn an_answer_that_cannot_be_written_is_1() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (status, _, stderr) = outcome(bcctl(&["--version"]).stdout(full));
    assert!(stderr.contains("(ENOSPC)"), "{stderr}");
    assert_eq!(status, Some(1));

    let mut closed = Command::new("sh");
    closed.args([
        "-c",
        "exec \"$0\" --version >&-",
        env!("CARGO_BIN_EXE_bcctl"),
    ]);
    let (status, _, stderr) = outcome(&mut closed);
    assert!(stderr.contains("(EBADF)"), "{stderr}");
    assert_eq!(status, Some(1));
}
