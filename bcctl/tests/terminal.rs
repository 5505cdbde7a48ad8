// SPDX-License-Identifier: GPL-2.0-only
//! bcctl on a terminal, as far as it goes on a kernel that need not have
//! beancounters.  tests/vm has the rest.

mod common;

use common::VERBS;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

/// What bcctl writes to a terminal of so many columns, line ends as it wrote
/// them, and its exit status.
fn on_terminal(columns: u16, arguments: &[&str], variables: &[(&str, &str)]) -> (String, i32) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let path = Path::new(name.to_str().unwrap());
    let slave = File::options().read(true).write(true).open(path).unwrap();
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&slave, size).unwrap();

    let mut command = Command::new(env!("CARGO_BIN_EXE_bcctl"));
    command
        .args(arguments)
        .env_remove("NO_COLOR")
        .env_remove("COLUMNS")
        .env("TERM", "xterm-256color")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(slave.try_clone().unwrap())
        .stderr(slave);
    let mut child = command.spawn().unwrap();
    // With it goes the last slave on this side: after the child's the master is
    // at its end.
    drop(command);
    let mut written = Vec::new();
    // That end is an error, EIO.
    let _ = File::from(master).read_to_end(&mut written);
    let status = child.wait().unwrap().code().unwrap();
    (
        String::from_utf8(written).unwrap().replace("\r\n", "\n"),
        status,
    )
}

/// The same to pipes, both outputs after each other.
fn piped(arguments: &[&str], columns: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_bcctl"))
        .args(arguments)
        .env("COLUMNS", columns)
        .output()
        .unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// Help is broken between words at the terminal's width, but never wider than
/// a line of text should be.
#[test]
fn help_fits_the_window() {
    for columns in [40, 80, 200] {
        let (help, status) = on_terminal(columns, &["--help"], &[]);
        assert_eq!(status, 0);
        let verb = |name| on_terminal(columns, &[name, "--help"], &[]).0;
        for text in VERBS.map(verb).iter().chain([&help]) {
            // What is longer than the window in one word is left whole.
            let width = usize::from(columns).min(80);
            for line in text.lines().filter(|line| line.trim().contains(' ')) {
                let fits = line.chars().count() <= width || line.starts_with("Usage:");
                // The part with exit status and resources is laid out already.
                assert!(fits || columns < 80, "{columns}: {line}");
            }
        }
    }
}

#[test]
fn a_narrow_window_breaks_help_but_no_error() {
    let wide = on_terminal(80, &["set", "--help"], &[]).0;
    let narrow = on_terminal(40, &["set", "--help"], &[]).0;
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words(&narrow), words(&wide));
    assert!(narrow.lines().count() > wide.lines().count());

    // An error is one line, which can be copied and searched for, whatever the
    // window is.
    let arguments = ["get", "2147483647"];
    let (error, status) = on_terminal(20, &arguments, &[]);
    assert_eq!(status, 1);
    assert_eq!(error.lines().count(), 1);
    assert_eq!(error, piped(&arguments, "80"));
}

/// No colour and no other control sequence, on any terminal, asked for or not.
#[test]
fn there_is_no_colour() {
    for variables in [
        &[][..],
        &[("NO_COLOR", "1")],
        &[("NO_COLOR", ""), ("TERM", "dumb")],
        &[("CLICOLOR_FORCE", "1"), ("COLORTERM", "truecolor")],
    ] {
        for arguments in [
            &["--help"][..],
            &["run", "--help"],
            &["frob"],
            &["set", "--id", "0", "numproc=1"],
            &["get", "2147483647"],
            &["get", "--json", "2147483647"],
            &["list"],
            &["stat"],
        ] {
            let (text, _) = on_terminal(80, arguments, variables);
            assert!(!text.is_empty());
            let plain = |char: char| char == '\n' || !char.is_control();
            assert!(
                text.chars().all(plain),
                "{variables:?} {arguments:?}: {text:?}"
            );
        }
    }
}

#[test]
fn a_terminal_without_a_size_is_a_terminal() {
    let (help, status) = on_terminal(0, &["--help"], &[]);
    assert_eq!(status, 0);
    assert!(help.contains("Usage: bcctl"), "{help}");
    let (error, status) = on_terminal(0, &["get", "2147483647"], &[]);
    assert_eq!((error.lines().count(), status), (1, 1));
}

/// What is piped does not depend on anybody's window.
#[test]
fn piped_errors_are_the_same_in_any_window() {
    for arguments in [&["get", "2147483647"][..], &["list"], &["stat"]] {
        assert_eq!(piped(arguments, "20"), piped(arguments, "200"));
    }
}
