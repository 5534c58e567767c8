//! `cargo xtask …`: set-up, build, run and test, each one command on a fresh machine. `HELP` says what each does.

mod bench;
mod book;
mod browser;
mod build;
mod chromium;
mod clients;
mod debian;
mod deploy;
mod example;
mod node;
mod peers;
mod proj_db;
mod promtool;
mod python;
mod release;
mod serve;
mod served;
mod shell;
mod sqld;
mod test;
mod wasm;

use std::env;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::release::Linked;

const HELP: &str = "\
cargo xtask build            build component and server in release: target/sqlitrest-guest.wasm (spin.toml names it)
                             and target/release/sqlitrest with the component inside
cargo xtask build --guest    build the component alone
cargo xtask dist             build what is shipped, small and fast; takes minutes: target/dist/sqlitrest, and in target/dist/release the
                             archive of it, the component, checksums, the list of parts (SBOM) and whose code they are
cargo xtask dist --static    the same with everything inside (musl), which runs on any Linux; and the files of the container
                             image in target/dist/image
cargo xtask serve [DB]       build, then serve DB on 127.0.0.1:3000 with the component as the engine; with no DB, the
                             example, examples/music.db, which is made from examples/music.sql
cargo xtask serve --example NAME
                             build, then serve the example blog, todo or multi-tenant, with its page; it is made in
                             target/examples/NAME, with people who may sign in
cargo xtask serve [DB] -- …  the same, with these flags of `sqlitrest serve`
cargo xtask test             build, check format and lints, run every test, those of the clients, of pages in a browser and of deploy/ too
cargo xtask test FILTER      build, run the tests whose names contain FILTER; `clients`, `browser` and `deploy` are parts of names
cargo xtask bench            build, get the servers of others, measure them all in one run: benches/README.md
cargo xtask bench --help     what else it measures
cargo xtask book             build the documents as a site: target/book/index.html
cargo xtask help             this text

Every command gets what it needs first, a way to build WebAssembly above all. Of these, the first that works:
  installed   target wasm32-wasip2 of the toolchain in use
  rustup      rustup target add wasm32-wasip2, given up after 20 s
  debian      Rust and its sources from the packages of Debian or Ubuntu, installed as root or with sudo
  unpacked    the same packages unpacked below target/, where neither is allowed
XTASK_WASM_TOOLCHAIN=NAME allows that one alone. What worked is remembered in target/wasm-toolchain.
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match command(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command(args: &[&str]) -> Result<()> {
    match args {
        [] | ["help" | "--help" | "-h"] => print!("{HELP}"),
        ["build"] => build::all(&wasm::find()?, &build::SERVER)?,
        ["dist"] => release::dist(&wasm::find()?, Linked::Here)?,
        ["dist", "--static"] => release::dist(&wasm::find()?, Linked::Static)?,
        ["build", "--guest"] => build::guest(&wasm::find()?)?,
        ["bench", args @ ..] => bench::bench(args)?,
        ["book"] => drop(book::book()?),
        ["serve", rest @ ..] => serve::serve(rest)?,
        ["test"] => test::test(None).context("test FAILED")?,
        ["test", filter] => test::test(Some(filter)).context("test FAILED")?,
        _ => bail!("`{}` is not a command\n\n{HELP}", args.join(" ")),
    }
    Ok(())
}
