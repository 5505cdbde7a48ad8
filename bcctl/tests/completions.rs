// SPDX-License-Identifier: GPL-2.0-only
//! The completion scripts: each shell that is here takes its own.

mod common;

use common::VERBS;
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn script(shell: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_bcctl"))
        .args(["completions", shell])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a shell with `script` as its standard input; `None` if there is no
/// such shell here.
fn shell(name: &str, arguments: &[&str], script: &str) -> Option<Output> {
    let mut child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(script.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

/// A shell finds nothing wrong with its script, and answers this.
fn takes(name: &str, arguments: &[&str], answer: &str) {
    let script = script(name);
    for word in VERBS.iter().chain(&["--json", "dry-run", "limit"]) {
        let word = word.trim_start_matches("--");
        assert!(script.contains(word), "{name}: {word}");
    }
    // Debian's bash is everywhere; the others are tried where they are.
    match shell(name, arguments, &script) {
        Some(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && errors.is_empty(), "{errors}");
            let found = String::from_utf8_lossy(&output.stdout);
            assert!(found.starts_with(answer), "{found}");
        }
        None => assert_ne!(name, "bash"),
    }
}

#[test]
fn bash_takes_its_script() {
    takes("bash", &["-n"], "");
}

#[test]
fn zsh_takes_its_script() {
    takes("zsh", &["-f", "-n"], "");
    assert!(script("zsh").starts_with("#compdef bcctl\n"));
}

#[test]
fn fish_takes_its_script() {
    // Its --no-execute finds little: it is to complete something.
    let completed = ["--no-config", "-c", "source; and complete -C 'bcctl rel'"];
    takes("fish", &completed, "release");
}

/// What bash proposes for the last of the words.
fn proposed(words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let last = words.len() - 1;
    let tail = format!(
        "COMP_WORDS=({words})\nCOMP_CWORD={last}\n\
         _bcctl bcctl {word} {before}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        words = quoted.join(" "),
        word = quoted[last],
        before = quoted[last - 1],
    );
    let output = shell("bash", &["--norc"], &(script("bash") + &tail)).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes_verbs_options_and_names() {
    assert_eq!(proposed(&["bcctl", "rel"]), ["release"]);
    assert_eq!(proposed(&["bcctl", "run", "--dr"]), ["--dry-run"]);
    assert_eq!(proposed(&["bcctl", "stat", "numpr"]), ["numproc"]);
    assert_eq!(proposed(&["bcctl", "completions", "z"]), ["zsh"]);
    let all = proposed(&["bcctl", ""]);
    for verb in VERBS {
        assert!(all.iter().any(|word| word == verb), "{verb}: {all:?}");
    }
}
