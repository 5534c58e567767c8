//! `sqlitrest init`: a project to begin with. What it writes are the files of `examples/`, and a secret of its own.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, ValueEnum};
use serde::Serialize;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::schema::read_schema;

use crate::examples::targets;
use crate::open::{File, check_path};
use crate::settings::tell;

/// What `sqlitrest init` can be told.
#[derive(Args, Debug)]
pub struct InitFlags {
    /// The directory, by default this one; or a database, for which a configuration is made beside it
    #[arg(value_name = "DIR|FILE.db")]
    at: Option<PathBuf>,
    /// What to begin with; without, one table, or the database that is named
    #[arg(long, value_enum)]
    example: Option<Name>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Posts, tags and comments: policies, masks, full text, functions
    Blog,
    /// Each user's own rows, for supabase-js: sign-in by token, key and password
    Todo,
    /// Several tenants in one database
    MultiTenant,
}

/// A project as it is written.
struct Project {
    /// The file that its configuration names.
    database: &'static str,
    /// Names and texts of what anybody may read.
    files: &'static [(&'static str, &'static str)],
    /// Lists of who may sign in, which begin empty.
    lists: &'static [&'static str],
}

/// A file of `examples/`, with its name.
macro_rules! of {
    ($example:literal, $($name:literal),+) => {
        &[$(($name, include_str!(concat!("../../examples/", $example, "/", $name)))),+]
    };
}

/// The files of one that has a page, and what that has beside the usual.
macro_rules! with_page {
    ($example:literal $(, $more:literal)*) => {
        of!(
            $example,
            "sqlitrest.toml",
            "policies.toml",
            "policy_tests.toml",
            "schema.sql",
            "README.md",
            "public/index.html",
            "public/style.css",
            "public/app.js"
            $(, $more)*
        )
    };
}

const BLOG: Project = Project { database: "blog.db", files: with_page!("blog"), lists: &[] };
const TODO: Project = Project {
    database: "todo.db",
    files: with_page!("todo", "public/supabase.js", "public/supabase.LICENSE.txt"),
    lists: &["apikeys.toml", "users.toml"],
};
const MULTI_TENANT: Project =
    Project { database: "tenants.db", files: with_page!("multi-tenant"), lists: &["users.toml"] };
const MINIMAL: Project = Project {
    database: "main.db",
    files: of!("minimal", "sqlitrest.toml", "policies.toml", "schema.sql", "README.md"),
    lists: &[],
};

/// What a repository is not to have.
const IGNORED: &str = include_str!("../../examples/.gitignore");

/// What the database is made of.
const SCHEMA: &str = "schema.sql";

/// What tokens are signed with.
const SECRET: &str = "jwt.secret";

/// What was written.
#[derive(Debug, Serialize)]
struct Made {
    directory: PathBuf,
    database: PathBuf,
    files: Vec<String>,
    /// What to type next.
    next: [String; 2],
}

/// Writes a project, or nothing at all.
///
/// # Errors
/// What is in the way; what cannot be written.
pub fn init(flags: &InitFlags) -> Result<()> {
    let at = flags.at.as_deref().unwrap_or(Path::new("."));
    let (directory, database) = place(at, flags.example)?;
    let is_there = database.as_ref().is_some_and(|name| directory.join(name).exists());
    let project = match flags.example {
        None => &MINIMAL,
        Some(Name::Blog) => &BLOG,
        Some(Name::Todo) => &TODO,
        Some(Name::MultiTenant) => &MULTI_TENANT,
    };
    let database = database.unwrap_or_else(|| project.database.to_owned());
    let mut files = texts(project, &directory, &database, is_there)?;
    let lists =
        project.lists.iter().map(|name| ((*name).to_owned(), "# Written by `sqlitrest`.\n".to_owned()));
    let secrets: Vec<(String, String)> =
        lists.chain([(SECRET.to_owned(), URL_SAFE_NO_PAD.encode(random()?) + "\n")]).collect();
    let made = (!is_there).then(|| database.clone());
    let names = || files.iter().chain(&secrets).map(|(name, _)| name.clone()).chain(made.clone());
    refuse_what_is_there(&directory, names(), flags)?;
    let names: Vec<String> = names().collect();
    let is_new = !directory.exists();
    fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let schema = files.iter().position(|(name, _)| name == SCHEMA).map(|at| files.swap_remove(at).1);
    let written = write(&directory, &files, false).and_then(|()| write(&directory, &secrets, true)).and_then(
        |()| match (&schema, &made) {
            (Some(schema), Some(made)) => make(&directory, made, schema),
            _ => Ok(()),
        },
    );
    if written.is_err() {
        // None of them was there before.
        names.iter().for_each(|name| drop(fs::remove_file(directory.join(name))));
        names
            .iter()
            .filter_map(|name| folder(name))
            .for_each(|name| drop(fs::remove_dir(directory.join(name))));
        if is_new {
            let _ = fs::remove_dir(&directory);
        }
    }
    written?;
    let next = ["check", "serve"].map(|command| command_line(command, &directory));
    let made = Made { database: directory.join(&database), directory, files: names, next };
    tell(flags.json, &made, || text(&made))
}

/// The directory of the project, and the name of the database where one is named.
fn place(at: &Path, example: Option<Name>) -> Result<(PathBuf, Option<String>)> {
    let ends_like_one =
        || at.extension().is_some_and(|end| ["db", "sqlite", "sqlite3"].iter().any(|e| end == *e));
    if at.is_dir() || (!at.exists() && !ends_like_one()) {
        return Ok((at.to_owned(), None));
    }
    let shown = at.display();
    ensure!(example.is_none(), "{shown} names a database, and an example has its own; name a directory");
    if at.exists() {
        check_path(at)?;
    }
    let name = at.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{shown} is not UTF-8; rename the file"))?;
    let directory = at.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((directory.to_owned(), Some(name.to_owned())))
}

/// The files that anybody may read, for this database.
fn texts(
    project: &Project,
    directory: &Path,
    database: &str,
    is_there: bool,
) -> Result<Vec<(String, String)>> {
    let own = project.files.iter().filter(|(name, _)| !(is_there && *name == SCHEMA));
    let mut files: Vec<(String, String)> = Vec::new();
    for (name, text) in own {
        let text = match *name {
            "sqlitrest.toml" => {
                let path = toml::Value::from(format!("./{database}")).to_string();
                text.replacen(&format!("\"./{}\"", project.database), &path, 1)
            }
            "README.md" if is_there => with_requests(text, &requests(&directory.join(database))?),
            // A page knows the API and no file.
            _ if folder(name).is_some() => (*text).to_owned(),
            _ => text.replace(project.database, database),
        };
        files.push(((*name).to_owned(), text));
    }
    files.push((".gitignore".to_owned(), IGNORED.to_owned()));
    Ok(files)
}

/// Requests to try on a database that is there.
fn requests(database: &Path) -> Result<Vec<String>> {
    let path = database.display().to_string();
    let text = format!("[databases.main]\nmode = \"readonly\"\npath = {}\n", toml::Value::from(path));
    let config = Config::load("", &text, [])?;
    let (_, mut connection) = File::check(&config)?;
    let schema = read_schema(&mut connection, config.database().1);
    let schema = schema.map_err(|error| anyhow!("the schema cannot be read: {}", error.message))?;
    let line = |target| {
        format!("curl 'localhost:3000{target}' -H \"Authorization: Bearer $(sqlitrest token --role user)\"")
    };
    Ok(targets(&schema).into_iter().map(line).collect())
}

/// A README whose last block is of these lines.
fn with_requests(text: &str, lines: &[String]) -> String {
    let before = text.rsplit_once("```sh\n").map_or(text, |(before, _)| before);
    match lines {
        [] => {
            text.split("Then, in another terminal:").next().unwrap_or_default().trim_end().to_owned() + "\n"
        }
        lines => format!("{before}```sh\n{}\n```\n", lines.join("\n")),
    }
}

fn refuse_what_is_there(
    directory: &Path,
    names: impl Iterator<Item = String>,
    flags: &InitFlags,
) -> Result<()> {
    // A link that leads nowhere is there, too; and so are all the files of a folder that is.
    let is_there = |name: &String| fs::symlink_metadata(directory.join(name)).is_ok();
    let mut taken: Vec<String> =
        names.map(|name| folder(&name).unwrap_or(&name).to_owned()).filter(is_there).collect();
    taken.dedup();
    if taken.is_empty() {
        return Ok(());
    }
    let elsewhere = match flags.example.and_then(|example| example.to_possible_value()) {
        Some(example) => format!("sqlitrest init --example {} DIR", example.get_name()),
        None => "sqlitrest init DIR".to_owned(),
    };
    let shown = directory.display();
    bail!(
        "{shown} has {} already, and nothing is overwritten; name another directory: `{elsewhere}`",
        taken.join(", ")
    )
}

/// The folder that a file is in, if it is in one.
fn folder(name: &str) -> Option<&str> {
    name.split_once('/').map(|(folder, _)| folder)
}

/// Writes files that were not there. What is secret is nobody else's to read.
fn write(directory: &Path, files: &[(String, String)], is_secret: bool) -> Result<()> {
    for (name, text) in files {
        let path = directory.join(name);
        if let Some(folder) = folder(name) {
            let folder = directory.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if is_secret {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        let written = options.open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// Makes the database, and leaves what it was made of beside it.
fn make(directory: &Path, name: &str, schema: &str) -> Result<()> {
    let path = directory.join(name);
    let made = rusqlite::Connection::open(&path).and_then(|sql| sql.execute_batch(schema));
    made.with_context(|| format!("{} cannot be made", path.display()))?;
    write(directory, &[(SCHEMA.to_owned(), schema.to_owned())], false)
}

fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
    Ok(bytes)
}

/// `sqlitrest serve --config DIR/sqlitrest.toml`, as a shell takes it.
fn command_line(command: &str, directory: &Path) -> String {
    if directory == Path::new(".") {
        return format!("sqlitrest {command}");
    }
    let path = directory.join("sqlitrest.toml").display().to_string();
    let is_plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+@:,".contains(&b));
    match is_plain {
        true => format!("sqlitrest {command} --config {path}"),
        false => format!("sqlitrest {command} --config '{}'", path.replace('\'', "'\\''")),
    }
}

fn text(made: &Made) -> String {
    let Made { directory, files, next, .. } = made;
    let files = files.join(", ");
    format!("{}: made {files}\nnow type:\n  {}\n", directory.display(), next.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_takes() {
        assert_eq!(command_line("serve", Path::new(".")), "sqlitrest serve");
        assert_eq!(command_line("serve", Path::new("a/b")), "sqlitrest serve --config a/b/sqlitrest.toml");
        assert_eq!(
            command_line("serve", Path::new("it's")),
            "sqlitrest serve --config 'it'\\''s/sqlitrest.toml'"
        );
    }

    #[test]
    fn the_examples_name_their_database() {
        for project in [BLOG, TODO, MULTI_TENANT, MINIMAL] {
            let (_, text) = project.files[0];
            assert!(text.contains(&format!("path = \"./{}\"", project.database)), "{}", project.database);
            assert!(text.contains("secret = \"file:./jwt.secret\""), "{}", project.database);
        }
    }
}
