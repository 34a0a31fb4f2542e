//! The commands about the database, and what they say of a server.

use serde_json::Value;

use super::place::{Ended, Place};
use crate::postgres;

/// A command on the database at `url`, which has a password in it.
fn on(place: &Place, url: &str, line: &str) -> Ended {
    let mut command = place.command(line);
    command.env("ZK_BRIDGE_DATABASE_URL", url);
    // As much as there is to log.
    command.env("RUST_LOG", "trace");
    let ended = Ended::of(command);
    for said in [&ended.stdout, &ended.stderr] {
        assert!(!said.contains("geheim"), "{said}");
    }
    ended
}

/// The address of an empty database with a password, which the server does not ask for.
async fn server() -> Option<String> {
    let url = postgres::database().await?;
    Some(url.replacen("postgres@", "postgres:geheim@", 1))
}

fn rows(document: &Value, table: &str) -> u64 {
    let tables = document["tables"].as_array().expect("the tables");
    let found = tables.iter().find(|copied| copied["table"] == table);
    found.expect("the table")["rows"]
        .as_u64()
        .expect("a number")
}

#[tokio::test]
async fn a_bridge_on_a_server_is_set_up_moved_and_used_without_showing_the_password() {
    let Some(url) = server().await else { return };
    let place = Place::new();
    place.run("init --json").ended(0);
    place
        .run("device add gate --address 192.0.2.1 --json")
        .ended(0);

    let ended = place
        .feed("store move - --json", &format!("{url}\n"))
        .ended(0);
    assert!(!format!("{ended:?}").contains("geheim"), "{ended:?}");
    let moved = ended.document();
    assert_eq!(rows(&moved, "device"), 1);
    let next = moved["next"].as_str().unwrap();
    assert!(next.contains("database_url"), "{next}");

    let refused = place.run("poll --json").ended(1);
    assert_eq!(refused.failure(), "moved");
    let listed = on(&place, &url, "device list --json").ended(0);
    assert!(listed.stdout.contains("gate"), "{listed:?}");
    let told = on(&place, &url, "init --json").ended(0).document();
    let database = told["database"].as_str().unwrap();
    assert!(
        database.starts_with("PostgreSQL postgres@127.0.0.1:"),
        "{database}"
    );

    let wrong = url.replacen("postgres:geheim@", "nobody:geheim@", 1);
    let refused = on(&place, &wrong, "poll --json").ended(1);
    assert_eq!(refused.failure(), "database");
    let refused = on(&place, "mysql://zk:geheim@db/att", "poll --json").ended(1);
    assert_eq!(refused.failure(), "config");
    let refused = place
        .run("store move mysql://zk:geheim@db/att --json")
        .ended(2);
    assert_eq!(refused.failure(), "usage");
    assert!(!format!("{refused:?}").contains("geheim"));
}

#[test]
fn a_backup_is_made_and_restored_only_where_it_replaces_nothing_unasked() {
    let place = Place::new();
    place.run("init --json").ended(0);
    place
        .run("device add gate --address 192.0.2.1 --comm-key 4711 --json")
        .ended(0);
    let file = place.text("all.backup");
    let made = place.run(&format!("backup {file} --json")).ended(0);
    assert_eq!(rows(&made.document(), "device"), 1);
    let again = place.run(&format!("backup {file} --json")).ended(1);
    assert_eq!(again.failure(), "file_exists");

    place
        .run("device add door --address 192.0.2.2 --json")
        .ended(0);
    let refused = place.run(&format!("restore {file} --json")).ended(1);
    assert_eq!(refused.failure(), "not_empty");
    let unasked = place
        .run(&format!("restore {file} --force --json"))
        .ended(2);
    assert_eq!(unasked.failure(), "usage");
    let devices = || place.run("device list --json").ended(0).stdout;
    assert!(devices().contains("door"), "nothing was done");
    let restored = place
        .run(&format!("restore {file} --force --yes --json"))
        .ended(0);
    assert_eq!(restored.document()["restored"]["queued"], 0);
    assert!(devices().contains("gate") && !devices().contains("door"));
    assert_eq!(restored.stderr, "", "the key is the one it was");

    // Elsewhere the key is another one, and that is said before a terminal refuses.
    let elsewhere = Place::new();
    let restored = elsewhere.run(&format!("restore {file}")).ended(0);
    assert!(restored.stderr.contains("secret.key"), "{restored:?}");
    assert!(
        restored.stdout.contains("restored into SQLite"),
        "{restored:?}"
    );
}
