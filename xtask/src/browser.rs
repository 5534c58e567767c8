//! The tests of `tests/browser/`: the pages of the examples, clicked through in Chromium, each as `sqlitrest init` makes it.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::chromium::chromium;
use crate::example::{self, PASSWORD};
use crate::node::in_folder;
use crate::served::{self, Directory, Server};
use crate::shell::{root, target};
use crate::test::Tally;

/// The tests, the example of each, and with which engine it is served: both answer alike, which other tests hold.
const PAGES: [(&str, &str, &str); 4] = [
    ("todo", "todo", "component"),
    ("blog", "blog", "native"),
    ("multi-tenant", "multi-tenant", "native"),
    ("docs", "multi-tenant", "component"),
];

/// Runs the tests of the pages whose names, `browser/todo` and so on, contain `filter`.
///
/// # Errors
/// Chromium or the library that drives it cannot be had, or a server does not start.
pub fn test(filter: Option<&str>, tally: &mut Tally) -> Result<()> {
    let is_meant = |name: &str| filter.is_none_or(|filter| format!("browser/{name}").contains(filter));
    let pages: Vec<_> = PAGES.iter().filter(|(name, ..)| is_meant(name)).collect();
    if pages.is_empty() {
        return Ok(());
    }
    let mut node =
        in_folder(&root().join("tests/browser")).context("what tests/browser needs is not to be had")?;
    node.env("CHROMIUM", chromium()?).env("PASSWORD", PASSWORD);
    for (name, example, engine) in pages {
        let server = serve(example, engine)?;
        println!("\n     Running tests/browser/{name}.test.js with the engine {engine}");
        tally.run(again(&node).arg(format!("{name}.test.js")).env("API_URL", &server.url))?;
    }
    Ok(())
}

fn serve(name: &str, engine: &str) -> Result<Server> {
    let directory = Directory::new(target(&format!("browser/served-{}", std::process::id())))?;
    let config = example::make(example::named(name)?, &directory.0.join(name))?;
    Server::start(served::command().arg("serve").arg("--config").arg(config), engine, directory)
}

/// The same command, to which arguments can be added that the next does not have.
fn again(node: &Command) -> Command {
    let mut command = Command::new(node.get_program());
    command.args(node.get_args());
    let variables = node.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.envs(variables);
    if let Some(directory) = node.get_current_dir() {
        command.current_dir(directory);
    }
    command.args(["--test", "--test-reporter=../clients/js/reporter.js"]);
    command
}
