//! The command line: what can be typed, and which exit code comes of it.
//!
//! 0: done. 1: failed while running. 2: could not begin (arguments, configuration, database, port).

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::settings::{Flags, Settings};
use crate::{component, log, serve};

/// A PostgREST-compatible REST API over a SQLite database.
#[derive(Parser)]
#[command(name = "sqlitrest", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a database over HTTP.
    Serve(Flags),
    /// Compile a component for `serve --guest` or for being embedded.
    #[command(hide = true)]
    CompileComponent {
        /// The component, as `cargo xtask build` leaves it.
        input: PathBuf,
        /// The file to write.
        output: PathBuf,
    },
}

/// Why the program ends early, and with which exit code.
pub(crate) enum Failure {
    /// It could not begin.
    Start(anyhow::Error),
    /// It failed while running.
    Run(anyhow::Error),
}

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(flags) => Settings::resolve(&flags).map_err(Failure::Start).and_then(serve::serve),
        Command::CompileComponent { input, output } => {
            component::compile(&input, &output).map_err(Failure::Start)
        }
    };
    let (error, code) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Start(error)) => (error, 2),
        Err(Failure::Run(error)) => (error, 1),
    };
    // A library's message may have several lines; ours has one.
    let words = format!("{error:#}");
    let words: Vec<&str> = words.split_whitespace().collect();
    log(format_args!("{}", words.join(" ")));
    ExitCode::from(code)
}
