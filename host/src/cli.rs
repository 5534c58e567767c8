//! The command line: what can be typed, and which exit code comes of it.
//!
//! 0: done. 1: failed while running. 2: could not begin (arguments, configuration, database, port). They stand in `--help`, too ([`help`]).
//!
//! [`help`]: crate::help

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::check::CheckFlags;
use crate::credentials::{ApiKeyCommand, TokenFlags, UserCommand};
use crate::db::DbCommand;
use crate::explain::ExplainFlags;
use crate::init::InitFlags;
use crate::mcp::stdio::{self, McpFlags};
use crate::observe::logging;
use crate::openapi::{OpenApiFlags, TypesCommand};
use crate::policy_test::PolicyCommand;
use crate::schema::SchemaFlags;
use crate::settings::{Flags, Settings};
use crate::{check, credentials, db, explain, file_limit, help, init, openapi, policy_test, schema, serve};

/// A PostgREST-compatible REST API over a SQLite database.
#[derive(Parser)]
#[command(name = "sqlitrest", version, about, after_help = help::ALL)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve databases over HTTP
    #[command(after_help = help::SERVE)]
    Serve(Flags),
    /// Make a project: configuration, policies, a database, a secret of its own
    #[command(after_help = help::INIT)]
    Init(InitFlags),
    /// Print everything that is wrong with a configuration, against its databases
    #[command(after_help = help::CHECK)]
    Check(CheckFlags),
    /// Print what a role knows of a database: tables, columns, relationships, functions
    #[command(after_help = help::SCHEMA)]
    Schema(SchemaFlags),
    /// Print the OpenAPI document of a database, as a role may see it
    #[command(name = "openapi", after_help = help::OPENAPI)]
    OpenApi(OpenApiFlags),
    /// Print types for programs
    #[command(subcommand)]
    Types(TypesCommand),
    /// Print what a request becomes for who asks: rules, SQL, parameters, plan. Nothing is run
    #[command(after_help = help::EXPLAIN)]
    Explain(ExplainFlags),
    /// Serve an agent (MCP) by standard input and output
    #[command(after_help = help::MCP)]
    Mcp(McpFlags),
    /// Try policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Look after a database file
    #[command(subcommand, after_help = help::DB)]
    Db(DbCommand),
    /// Print a JWT that the configured server takes
    #[command(after_help = help::TOKEN)]
    Token(TokenFlags),
    /// Manage API keys
    #[command(subcommand, after_help = help::API_KEY)]
    Apikey(ApiKeyCommand),
    /// Manage users who sign in with a password
    #[command(subcommand, after_help = help::USER)]
    User(UserCommand),
    /// Print what makes a shell complete the words of commands
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Make a database of the SQL text in a file.
    #[command(hide = true)]
    CreateDatabase {
        /// The SQL text.
        input: PathBuf,
        /// The database to make; there must be no such file.
        output: PathBuf,
    },
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
    file_limit::fail_writes();
    let result = match Arguments::parse().command {
        Command::Serve(flags) => Settings::resolve(&flags).map_err(Failure::Start).and_then(serve::serve),
        Command::Init(flags) => init::init(&flags).map_err(Failure::Start),
        Command::Check(flags) => check::check(&flags),
        Command::Schema(flags) => schema::schema(&flags).map_err(Failure::Start),
        Command::OpenApi(flags) => openapi::openapi(&flags).map_err(Failure::Start),
        Command::Types(command) => openapi::types(&command).map_err(Failure::Start),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "sqlitrest", &mut std::io::stdout());
            Ok(())
        }
        Command::Explain(flags) => explain::explain(&flags).map_err(Failure::Start),
        Command::Mcp(flags) => stdio::run(&flags),
        Command::Policy(command) => policy_test::run(&command).map_err(Failure::Start).and_then(|is_well| {
            if is_well { Ok(()) } else { Err(Failure::Run(anyhow!("a test of policies failed"))) }
        }),
        Command::Db(command) => db::run(&command),
        Command::Token(flags) => credentials::token(&flags).map_err(Failure::Start),
        Command::Apikey(command) => credentials::api_key(&command).map_err(Failure::Start),
        Command::User(command) => credentials::user(&command).map_err(Failure::Start),
        Command::CreateDatabase { input, output } => create_database(&input, &output).map_err(Failure::Start),
        Command::CompileComponent { input, output } => {
            sqlitrest_compile::compile(&input, &output).map_err(Failure::Start)
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
    logging::error(format_args!("{}", words.join(" ")));
    ExitCode::from(code)
}

/// Makes a database of SQL text, or none at all.
fn create_database(input: &Path, output: &Path) -> Result<()> {
    let text = fs::read_to_string(input).with_context(|| format!("{} cannot be read", input.display()))?;
    ensure!(!output.exists(), "{} is there already; remove it, or name another file", output.display());
    let made = rusqlite::Connection::open(output).and_then(|sql| sql.execute_batch(&text));
    if made.is_err() {
        let _ = fs::remove_file(output);
    }
    made.with_context(|| format!("{} is not SQL that SQLite takes", input.display()))
}
