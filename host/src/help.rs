//! What stands at the end of `--help`: examples, and exit codes where they tell something.

/// Ends the help of a command with examples, a blank line and its exit codes.
macro_rules! help {
    ($examples:literal) => {
        concat!("Examples:\n", $examples, "\n\nExit codes: 0 done; 2 could not begin")
    };
    ($examples:literal, $one:literal) => {
        concat!("Examples:\n", $examples, "\n\nExit codes: 0 done; 1 ", $one, "; 2 could not begin")
    };
}

pub const ALL: &str = "Examples:
  sqlitrest serve my.db                     a REST API over a database, on http://127.0.0.1:3000
  sqlitrest init --example blog blog        a project to begin with
  sqlitrest check                           everything that is wrong with ./sqlitrest.toml

Exit codes: 0 done; 1 failed on the way, or found what it looked for (db check, policy test);
2 could not begin: arguments, configuration, database, port";

pub const SERVE: &str = help!(
    "  sqlitrest serve my.db
  sqlitrest serve --config /etc/sqlitrest.toml --listen 0.0.0.0:8080
  SQLITREST_API_MAX_ROWS=100 sqlitrest serve my.db --engine native

A flag wins over the environment, that over the file. Ctrl-c ends it when the requests in flight have ended.",
    "failed while serving"
);

pub const INIT: &str = help!(
    "  sqlitrest init                            here, around a new database
  sqlitrest init my.db                      beside a database that is there
  sqlitrest init --example todo todo        each user's own rows, for supabase-js

Nothing is overwritten."
);

pub const CHECK: &str = "Examples:
  sqlitrest check
  sqlitrest check --config new.toml --database copy.db --json

Exit codes: 0 it can be served; 2 it cannot";

pub const SCHEMA: &str = help!(
    "  sqlitrest schema --database my.db         or the name of one in the configuration
  sqlitrest schema --role anon --json
  sqlitrest schema --prompt --counts --examples 2   short, for a language model"
);

pub const OPENAPI: &str = help!(
    "  sqlitrest openapi --database my.db > openapi.json
  sqlitrest openapi --role anon --version 2.0"
);

pub const TYPES: &str = help!(
    "  sqlitrest types typescript --database my.db > database.types.ts
  sqlitrest types typescript --role editor --schema api"
);

pub const EXPLAIN: &str = help!(
    "  sqlitrest explain 'GET /posts?select=title' --role author --sub 7
  sqlitrest explain 'PATCH /posts?id=eq.1' --body '{\"title\": \"x\"}' --role author --json"
);

pub const MCP: &str = help!(
    "  sqlitrest mcp my.db                       for an agent to start: it speaks on standard input and output
  sqlitrest mcp --role analyst --sub agent-7 --config sqlitrest.toml
  SQLITREST_MCP_WRITE=true sqlitrest mcp my.db

It reads alone, unless [mcp] write = true. The log goes to standard error.",
    "the conversation broke off"
);

pub const POLICY_TEST: &str = help!(
    "  sqlitrest policy test policy_tests.toml
  sqlitrest policy test policy_tests.toml --database my.db --json",
    "a test failed"
);

pub const TOKEN: &str = help!(
    "  sqlitrest token --role editor --sub 7 --expires 1h
  curl localhost:3000/posts -H \"Authorization: Bearer $(sqlitrest token --role editor)\""
);

pub const API_KEY: &str = help!(
    "  sqlitrest apikey new --role editor --sub ci --expires 90d
  sqlitrest apikey list --json"
);

pub const USER: &str = help!(
    "  sqlitrest user add ida --role editor      asks for the password
  sqlitrest user add ida --role editor < password.txt
  sqlitrest user list --json"
);

pub const DB: &str = help!(
    "  sqlitrest db info --database my.db
  sqlitrest db backup backups/monday.db && sqlitrest db migrate migrations",
    "failed on the way, or found damage"
);

pub const DB_INFO: &str = help!("  sqlitrest db info --database my.db --json");

pub const DB_CHECK: &str = help!(
    "  sqlitrest db check --database my.db
  sqlitrest db check --quick --migrations migrations --json",
    "there is damage"
);

pub const DB_BACKUP: &str = help!(
    "  sqlitrest db backup backups/monday.db
  sqlitrest db backup \"backups/$(date +%F).db\" --database my.db --json",
    "no backup was made"
);

pub const DB_RESTORE: &str = help!(
    "  sqlitrest db restore backups/monday.db --database my.db

Stop the server first. What was there is kept beside it.",
    "nothing was restored"
);

pub const DB_VACUUM: &str = help!("  sqlitrest db vacuum --database my.db", "nothing was rebuilt");

pub const DB_MIGRATE: &str = help!(
    "  sqlitrest db migrate migrations --dry-run
  sqlitrest db migrate migrations
  sqlitrest db migrate migrations --database new.db --create
  sqlitrest db migrate migrations --status --json",
    "a file failed, and nothing of it was applied"
);
