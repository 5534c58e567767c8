//! `sqlitrest explain`: what a request becomes for who asks. Nothing is run.

use std::fmt::Write as _;

use anyhow::{Context as _, Error, Result, anyhow};
use clap::Args;
use serde_json::Value as Json;
use sqlitrest_runtime::debug::asked::Asked;
use sqlitrest_runtime::debug::explain::{Line, Report, report};
use sqlitrest_runtime::debug::{self, Standing};
use sqlitrest_runtime::policy::{Kind, Rule};

use crate::asking::{Opened, claims, identity};
use crate::open;
use crate::settings::Of;

/// What `sqlitrest explain` can be told.
#[derive(Args, Debug)]
pub struct ExplainFlags {
    /// The request: 'GET /posts?select=*'
    request: String,
    /// The role of who asks; without one, nobody has signed in
    #[arg(long)]
    role: Option<String>,
    /// The user's id (the claim sub)
    #[arg(long)]
    sub: Option<String>,
    /// Another claim
    #[arg(long, value_name = "NAME=VALUE")]
    claim: Vec<String>,
    /// A header field
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The body
    #[arg(long, default_value = "")]
    body: String,
    #[command(flatten)]
    of: Of,
}

/// Prints the rules, the statements with their parameters, and how SQLite goes about them.
///
/// # Errors
/// What cannot be opened or read; a request that is refused is explained by its refusal.
pub fn explain(flags: &ExplainFlags) -> Result<()> {
    let settings = flags.of.settings()?;
    let config = &settings.config;
    let claims = claims(&flags.claim)?;
    let mut headers = Vec::new();
    for header in &flags.header {
        let (name, value) =
            header.split_once(':').with_context(|| format!("--header {header}: write 'NAME: VALUE'"))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let identity = identity(config, flags.role.clone(), flags.sub.as_deref().map(Json::from), claims);
    let asked = Asked { request: flags.request.clone(), headers, body: flags.body.clone(), identity };
    let Opened { mut connection, mut schema } = Opened::new(config)?;
    let mut shadow = open::in_memory(config.middleware.request_timeout.0)?;
    // A sentence for text that is no request, an error for what the database says.
    let report = debug::reading(config, &mut schema, connection.database(), |schema, db| {
        Ok(report(config, schema, &asked, Standing::Administrator, db, Some(&mut shadow)))
    });
    let report = report.map_err(|error| anyhow!("{}", error.problem().message))?.map_err(Error::msg)?;
    // Standard output may be closed.
    let tell = || drop(flags.of.tell(&report, || text(&report, config.policies.is_some())));
    if let Some(refused) = &report.refused {
        if flags.of.is_json() {
            tell();
        }
        let why = report.next.first().map(|next| format!(" {next}")).unwrap_or_default();
        return Err(anyhow!("the request is refused: {refused}{why}"));
    }
    tell();
    Ok(())
}

fn text(report: &Report, has_policies: bool) -> String {
    let mut out = String::new();
    let signed = if report.anonymous { ", not signed in" } else { "" };
    let claims = Json::Object(report.claims.clone());
    // Writing to a String cannot fail.
    let _ =
        writeln!(out, "role      {}{signed}\nclaims    {claims}", report.role.as_deref().unwrap_or("none"));
    let _ = writeln!(out, "request   {}", report.request);
    for relation in &report.relations {
        let _ = writeln!(out, "\n{} {}", relation.kind, relation.name);
        if !has_policies {
            let _ = writeln!(out, "  no [policies]: everything is allowed");
        }
        relation.rules.iter().for_each(|told| rule(&told.place, &told.rule, &mut out));
    }
    for statement in &report.statements {
        let params: Vec<String> = statement.parameters.iter().map(Json::to_string).collect();
        let _ = writeln!(out, "\n{}\n  {}", statement.step, statement.sql.replace('\n', " "));
        let _ = writeln!(out, "  parameters [{}]", params.join(", "));
        lines(&statement.plan, 0, 2, &mut out);
    }
    let _ = writeln!(out, "\nnext");
    report.next.iter().for_each(|next| {
        let _ = writeln!(out, "  {next}");
    });
    out
}

fn rule(place: &str, rule: &Rule, out: &mut String) {
    let _ = writeln!(out, "  {} \"{}\" ({place}), {}", kind(rule), rule.name, operations(rule));
    for (name, text) in [("using", &rule.using), ("check", &rule.check)] {
        if let Some(text) = text {
            let _ = writeln!(out, "    {name} {text}");
        }
    }
    let columns = &rule.columns;
    for (name, list) in [
        ("visible", columns.visible.as_deref().unwrap_or_default()),
        ("hidden", &columns.hidden),
        ("writable", columns.writable.as_deref().unwrap_or_default()),
    ] {
        if !list.is_empty() {
            let _ = writeln!(out, "    {name} {}", list.join(", "));
        }
    }
    for (column, mask) in &columns.masked {
        let _ = writeln!(out, "    masked {column} = {mask}");
    }
}

fn operations(rule: &Rule) -> String {
    let names: Vec<String> = rule.operations.iter().map(|o| format!("{o:?}").to_lowercase()).collect();
    if names.is_empty() { "all operations".to_owned() } else { names.join(", ") }
}

fn kind(rule: &Rule) -> &'static str {
    match rule.kind {
        Kind::Permissive => "permissive",
        Kind::Restrictive => "restrictive",
    }
}

fn lines(all: &[Line], of: i64, depth: usize, out: &mut String) {
    for line in all.iter().filter(|line| line.parent == of && line.id != of) {
        let _ = writeln!(out, "{:indent$}{}", "", line.detail, indent = depth * 2);
        lines(all, line.id, depth + 1, out);
    }
}
