//! Databases that are attached and detached, in the configuration file. The rest of it, comments included, stays as it is.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use sqlitrest_runtime::config::{DatabaseFile, Mode};
use toml_edit::{Array, DocumentMut, Item, Table, value};

use crate::open::beside;

/// Writes `[databases.NAME]` into the file.
///
/// # Errors
/// There is no file, or it cannot be read or written.
pub fn add(file: Option<&Path>, name: &str, database: &DatabaseFile) -> Result<()> {
    edit(file, |databases| {
        let mut table = Table::new();
        table.insert("path", value(&database.path));
        if database.mode == Mode::ReadOnly {
            table.insert("mode", value("readonly"));
        }
        if !database.hidden.is_empty() {
            table.insert("hidden", value(Array::from_iter(&database.hidden)));
        }
        databases.insert(name, Item::Table(table));
    })
}

/// Takes `[databases.NAME]` out of the file.
///
/// # Errors
/// There is no file, or it cannot be read or written.
pub fn remove(file: Option<&Path>, name: &str) -> Result<()> {
    edit(file, |databases| {
        databases.remove(name);
    })
}

fn edit(file: Option<&Path>, change: impl FnOnce(&mut Table)) -> Result<()> {
    let file = file.context("there is no configuration file")?;
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("{shown} cannot be read"))?;
    let mut document: DocumentMut = text.parse().with_context(|| format!("{shown} is not TOML"))?;
    let databases = document.entry("databases").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    change(databases.as_table_mut().with_context(|| format!("{shown}: databases is written inline"))?);
    replace(file, &document.to_string()).with_context(|| format!("{shown} cannot be written"))
}

/// The file is the old one or the new one, whatever happens meanwhile.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    // A link stays one.
    let file = fs::canonicalize(file)?;
    let new = beside(&file, ".new");
    let mut written = fs::File::create(&new)?;
    written.set_permissions(fs::metadata(&file)?.permissions())?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    fs::rename(&new, &file)
}
