// SPDX-License-Identifier: GPL-2.0-only
//! `bcctl completions`.

use crate::cli::{Cli, CompletionsArgs};
use crate::output::{Document, Output};
use clap::CommandFactory;

pub fn completions(output: &Output, arguments: &CompletionsArgs) -> crate::Result {
    let shell = arguments.shell;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bcctl", &mut script);
    let script = String::from_utf8_lossy(&script);
    let document = Document::Completions {
        shell: &shell.to_string(),
        script: &script,
    };
    output.answer(&document, || script.to_string())
}
