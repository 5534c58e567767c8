//! A real database for the tests: `proj.db` out of the PyPI package pyproj (99 foreign keys, composite keys, views).

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::python::{python, script};
use crate::shell::{run, target};

/// Its path; downloaded below `target/` where it is not there yet. `SQLITREST_PROJ_DB` names another.
///
/// # Errors
/// No Python, or no way to PyPI.
pub fn proj_db() -> Result<PathBuf> {
    if let Some(path) = env::var_os("SQLITREST_PROJ_DB") {
        return Ok(path.into());
    }
    let directory = target("pyproj");
    let path = directory.join("proj.db");
    if !path.exists() {
        fs::create_dir_all(&directory)?;
        run(python(script!("proj_db.py"))?.arg(&directory))
            .context("cannot get proj.db from PyPI; SQLITREST_PROJ_DB=PATH names one that is here")?;
    }
    Ok(path)
}
