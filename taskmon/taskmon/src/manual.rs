// SPDX-License-Identifier: GPL-2.0-only

//! Manual pages and completions, made from the command line's definition.

use std::fs;
use std::io;
use std::io::Write;

use clap::CommandFactory;

use crate::Failure;
use crate::cli::Cli;
use crate::cli::Completions;
use crate::cli::Manual;

/// Writes the completions for a shell to stdout.
pub fn completions(args: &Completions) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "taskmon", &mut text);
    let mut out = io::stdout();
    out.write_all(&text).and_then(|()| out.flush()).map_err(|e| Failure::output(&e))
}

/// Writes taskmon.1, taskmon-run.1, ... to a folder.
pub fn pages(args: &Manual) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::other(args.folder.display(), e);
    fs::create_dir_all(&args.folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.folder).map_err(failed)
}
