// SPDX-License-Identifier: GPL-2.0-only

//! taskmon: watches tasks by the kernel module taskmonitor.

mod choose;
mod cli;
mod clients;
mod compare;
mod csv;
mod diff;
mod doctor;
mod export;
mod exposition;
mod hold;
mod http;
mod info;
mod list;
mod listen;
mod losses;
mod manual;
mod metrics;
mod output;
mod period;
mod plot;
mod rate;
mod record;
mod reduce;
mod run;
mod show;
mod signals;
mod size;
mod source;
mod store;
mod summary;
mod threads;
mod times;
mod top;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use cli::Cli;
use cli::Command;
use cli::Selector;
use source::Source;
use taskmonitor::Monitor;
use taskmonitor::Root;

/// An error that ends taskmon.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something about the module.
    #[error("{0}")]
    Module(#[from] taskmonitor::Error),
    /// The reader of stdout has closed it. This is not reported.
    #[error("the reader of the output has closed it")]
    Unread,
    /// The error has been reported already.
    #[error("")]
    Said,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// What `error`, met when writing the output, means.
    pub fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Other(format!("cannot write the output: {error}")),
        }
    }

    /// `what`, and the error with it.
    pub fn other(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self::Other(format!("{what}: {error}"))
    }
}

/// A line on stderr. That nobody reads it is no reason to fail.
pub fn say(text: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(io::stderr(), "taskmon: {text}");
}

/// The recording `input`, or the module.
fn open(root: Root, input: Option<&Path>, selector: &Selector, booted: Option<i64>) -> Result<Source, Failure> {
    match input {
        Some(path) => Source::file(path, selector),
        None => Source::module(&Monitor::open(root)?, selector, booted),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let root = Root::at(&cli.root);
    let command = cli.command.unwrap_or_else(|| Command::Top(cli::Top::default()));
    // A mistake on the command line is one with and without the module.
    match &command {
        Command::Add(args) => choose::demand(&args.selector, "add"),
        Command::Remove(args) => choose::demand(&args.selector, "remove"),
        Command::Plot(args) => plot::demand(args),
        _ => {}
    }
    let done = match &command {
        Command::Completions(args) => manual::completions(args),
        Command::Manual(args) => manual::pages(args),
        Command::Add(args) => Monitor::open(root).map_err(Failure::from).and_then(|m| choose::add(&m, args)),
        Command::Remove(args) => Monitor::open(root).map_err(Failure::from).and_then(|m| choose::remove(&m, args)),
        Command::Top(args) => top::top(root, args, cli.booted),
        Command::List(args) => Monitor::open(root).map_err(Failure::from).and_then(|m| list::list(&m, args)),
        Command::Show(args) => {
            let source = open(root, args.input.as_deref(), &args.selector, cli.booted);
            source.and_then(|source| show::show(source, args))
        }
        Command::Plot(args) => {
            let open = || open(root.clone(), args.input.as_deref(), &args.selector, cli.booted);
            plot::plot(open, args)
        }
        Command::Run(args) => return run::run(root, args, cli.booted),
        Command::Diff(args) => return diff::diff(args),
        Command::Record(args) if !args.command.is_empty() => return run::record(root, args, cli.booted),
        Command::Record(args) => {
            Monitor::open(root).map_err(Failure::from).and_then(|m| record::record(&m, args, cli.booted))
        }
        Command::Info(args) => info::info(args),
        Command::Csv(args) => csv::csv(args),
        Command::Export(args) => Monitor::open(root).map_err(Failure::from).and_then(|m| export::export(&m, args)),
        Command::Doctor(_) => doctor::doctor(&root),
    };
    match done {
        Ok(()) | Err(Failure::Unread) => ExitCode::SUCCESS,
        Err(Failure::Said) => ExitCode::FAILURE,
        Err(failure) => {
            say(failure);
            ExitCode::FAILURE
        }
    }
}
