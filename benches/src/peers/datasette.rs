//! Datasette over the very file, for reading.

use std::process::Command;

use anyhow::Result;

use super::Place;
use crate::dataset::Dataset;
use crate::process::{Process, free_address, output, port};
use crate::servers::{Kind, Means, Server, Store, Subject};
use crate::workloads::{Request, Workload};

/// Starts it.
///
/// # Errors
/// What it says.
pub fn start(place: &Place, dataset: &Dataset) -> Result<Subject> {
    let address = free_address()?;
    let database = place.directory.join("music.db");
    dataset.copy_to(&database)?;
    let binary = place.installed.join("bin/datasette");
    let mut command = Command::new(&binary);
    command.arg("serve").arg(&database).args(["--host", "127.0.0.1", "--port", port(&address)]);
    let log = place.directory.join("log");
    let mut process = Process::logged(command.current_dir(&place.directory), &log)?;
    process.answers(&address, "/music/tracks/1.json?_shape=array", &log)?;
    Ok(Subject {
        name: "Datasette".to_owned(),
        kind: Kind::Peer,
        version: output(Command::new(&binary).arg("--version"))?,
        durability: "only reads".to_owned(),
        means: Means::Http(Server {
            address,
            store: Store::Sqlite(database),
            failure: None,
            requests: Box::new(request),
            processes: vec![process],
        }),
    })
}

/// Counts and suggestions, which it adds by itself, are left out where they are not asked for.
fn request(workload: Workload) -> Option<Request> {
    const ROWS: &str = "/music/tracks.json?_shape=array&_nofacet=1";
    Some(match workload {
        Workload::ByKey => Request::get("/music/tracks/{key}.json?_shape=array"),
        Workload::Filter => Request::get(format!("{ROWS}&_nocount=1&album_id={{album}}")),
        Workload::List => Request::get(format!("{ROWS}&_nocount=1&_size=100")),
        Workload::Count => Request::get("/music/tracks.json?_shape=objects&_nofacet=1&_nosuggest=1&_size=10"),
        _ => return None,
    })
}
