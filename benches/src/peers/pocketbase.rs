//! PocketBase: its collections made by its API, their rows written into its file while it does not run.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::Place;
use crate::client;
use crate::dataset::Dataset;
use crate::process::{Process, free_address, output};
use crate::servers::{Kind, Means, Server, Store, Subject};
use crate::workloads::{Request, Workload, many};

const EMAIL: &str = "bench@example.com";
const PASSWORD: &str = "only-for-the-benchmark";

/// Its ids have 15 characters.
const ID: &str = "printf('00000000%07d', 1000000 + ";

/// Starts it, for the second time.
///
/// # Errors
/// What it says.
pub fn start(place: &Place, dataset: &Dataset) -> Result<Subject> {
    let binary = place.installed.join("bin/pocketbase");
    let data = place.directory.join("pb_data");
    let mut superuser = Command::new(&binary);
    output(superuser.args(["superuser", "upsert", EMAIL, PASSWORD, "--dir"]).arg(&data))?;
    let (process, address) = serve(place, &binary, &data)?;
    collections(&address)?;
    drop(process);
    fill(&data.join("data.db"), dataset)?;
    let (process, address) = serve(place, &binary, &data)?;
    Ok(Subject {
        name: "PocketBase".to_owned(),
        kind: Kind::Peer,
        version: output(Command::new(&binary).arg("--version"))?,
        durability: "SQLite, WAL, its default synchronous=normal".to_owned(),
        means: Means::Http(Server {
            address,
            store: Store::Sqlite(data.join("data.db")),
            failure: None,
            requests: Box::new(request),
            processes: vec![process],
        }),
    })
}

fn serve(place: &Place, binary: &Path, data: &Path) -> Result<(Process, String)> {
    let address = free_address()?;
    let log = place.directory.join("log");
    let mut command = Command::new(binary);
    command.args(["serve", "--http", &address, "--dir"]).arg(data).current_dir(&place.directory);
    let mut process = Process::logged(&mut command, &log)?;
    process.answers(&address, "/api/health", &log)?;
    Ok((process, address))
}

/// Allows requests that hold many, keeps no log of requests, and makes the tables, open to everyone.
fn collections(address: &str) -> Result<()> {
    let sign_in = json!({"identity": EMAIL, "password": PASSWORD}).to_string();
    let told = client::send(
        address,
        &Request::json("POST", "/api/collections/_superusers/auth-with-password", sign_in),
    )?;
    let told = told.good()?.json()?;
    let token = told["token"].as_str().context("a token")?;
    let call = |method: &'static str, target: &str, body: &Value| -> Result<Value> {
        let request = Request::json(method, target, body.to_string()).with("Authorization", token);
        client::send(address, &request)?.good().with_context(|| body.to_string())?.json()
    };
    let settings = json!({"batch": {"enabled": true, "maxRequests": 1000, "timeout": 60}, "logs": {"maxDays": 0},
        "rateLimits": {"enabled": false}});
    call("PATCH", "/api/settings", &settings)?;
    let create = |name: &str, fields: Value, indexed: Option<&str>| -> Result<Value> {
        let indexes: Vec<String> = indexed
            .iter()
            .map(|column| format!("CREATE INDEX {name}_{column} ON {name}({column})"))
            .collect();
        let collection = json!({"name": name, "type": "base", "listRule": "", "viewRule": "", "createRule": "",
            "updateRule": "", "fields": fields, "indexes": indexes});
        let made = call("POST", "/api/collections", &collection)?;
        Ok(made["id"].clone())
    };
    let text = |name: &str| json!({"name": name, "type": "text"});
    let number = |name: &str| json!({"name": name, "type": "number"});
    let to = |name: &str, id: &Value| json!({"name": name, "type": "relation", "collectionId": id, "maxSelect": 1, "required": true});
    let artists = create("artists", json!([text("name"), text("country"), number("formed")]), None)?;
    let albums = json!([to("artist_id", &artists), text("title"), text("released")]);
    let albums = create("albums", albums, Some("artist_id"))?;
    let tracks = json!([to("album_id", &albums), text("name"), number("milliseconds"), number("price"),
        {"name": "published", "type": "bool"}, text("owner_id")]);
    let tracks = create("tracks", tracks, Some("album_id"))?;
    let playlists = create("playlists", json!([text("name"), text("owner_id")]), None)?;
    let entries = json!([to("playlist_id", &playlists), to("track_id", &tracks), number("position")]);
    create("playlist_tracks", entries, Some("playlist_id"))?;
    Ok(())
}

fn fill(file: &Path, dataset: &Dataset) -> Result<()> {
    let sql = Connection::open(file)?;
    sql.execute("ATTACH ?1 AS made", [dataset.path.display().to_string()])?;
    let id = |column: &str| format!("{ID}{column})");
    let statements = [
        format!(
            "INSERT INTO main.artists(id, name, country, formed) SELECT {}, name, country, formed FROM made.artists",
            id("id")
        ),
        format!(
            "INSERT INTO main.albums(id, artist_id, title, released) SELECT {}, {}, title, released FROM made.albums",
            id("id"),
            id("artist_id")
        ),
        format!(
            "INSERT INTO main.tracks(id, album_id, name, milliseconds, price, published, owner_id) \
             SELECT {}, {}, name, milliseconds, price, published, coalesce(owner_id, '') FROM made.tracks",
            id("id"),
            id("album_id")
        ),
        format!(
            "INSERT INTO main.playlists(id, name, owner_id) SELECT {}, name, coalesce(owner_id, '') FROM made.playlists",
            id("id")
        ),
        format!(
            "INSERT INTO main.playlist_tracks(playlist_id, track_id, position) SELECT {}, {}, position FROM made.playlist_tracks",
            id("playlist_id"),
            id("track_id")
        ),
        "ANALYZE main".to_owned(),
    ];
    sql.execute_batch("BEGIN")?;
    for statement in statements {
        sql.execute_batch(&statement)?;
    }
    sql.execute_batch("COMMIT")?;
    Ok(())
}

fn request(workload: Workload) -> Option<Request> {
    const ROWS: &str = "/api/collections/tracks/records";
    let track = |album: &str, name: &str| {
        let album = format!("\"00000000{album}\"");
        crate::workloads::new_track(&album, name)
    };
    Some(match workload {
        Workload::ByKey => Request::get(format!("{ROWS}/00000000{{key7}}")),
        Workload::Filter => {
            Request::get(format!("{ROWS}?filter=(album_id=%2700000000{{album7}}%27)&skipTotal=1"))
        }
        Workload::List => Request::get(format!("{ROWS}?sort=id&perPage=100&skipTotal=1")),
        Workload::Embed => Request::get(
            "/api/collections/artists/records?sort=id&perPage=100&skipTotal=1\
             &expand=albums_via_artist_id.tracks_via_album_id\
             &fields=id,name,expand.albums_via_artist_id.id,expand.albums_via_artist_id.title,\
             expand.albums_via_artist_id.expand.tracks_via_album_id.id,\
             expand.albums_via_artist_id.expand.tracks_via_album_id.name",
        ),
        Workload::Count => Request::get(format!("{ROWS}?sort=id&perPage=10")),
        Workload::Update => {
            Request::json("PATCH", format!("{ROWS}/00000000{{key7}}"), r#"{"milliseconds":{fresh}}"#)
        }
        Workload::InsertOne => Request::json("POST", ROWS, track("{album7}", "New {key}")),
        Workload::InsertThousand => {
            let rows = many(|n| {
                let row = track(&(1_000_000 + n).to_string(), &format!("New {n}"));
                format!(r#"{{"method":"POST","url":"{ROWS}","body":{row}}}"#)
            });
            Request::json("POST", "/api/batch", format!(r#"{{"requests":{rows}}}"#))
        }
        Workload::Mix => return None,
    })
}
