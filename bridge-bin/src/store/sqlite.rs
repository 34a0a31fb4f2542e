//! `SQLite`, one file in the data directory.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, Statement,
};
use sea_orm_migration::MigratorTrait;

use super::migration::Migrator;
use super::{BUSY, FILE, refuse_foreign};
use crate::failure::Failure;

const TABLES: &str =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";

/// Opens the database of a data directory for writing and for reading, up to date.
pub(super) async fn open(
    data_dir: &Path,
) -> anyhow::Result<(DatabaseConnection, DatabaseConnection)> {
    super::prepare_directory(data_dir)?;
    let path = data_dir.join(FILE);
    let fresh = std::fs::metadata(&path).map_or(true, |data| data.len() == 0);
    let unusable = |error: &DbErr| unusable(&path, error);
    if fresh {
        make_private(&path);
    }
    if !fresh {
        // Looked at by a connection that cannot write: turning WAL on would change the file already.
        let look = connect(&path, 1, true)
            .await
            .map_err(|error| unusable(&error))?;
        let ours = look_at(&look, &path).await;
        look.close().await?;
        ours?;
    }
    let write = connect(&path, 1, false)
        .await
        .map_err(|error| unusable(&error))?;
    // Two processes may meet at the first start; whoever comes second finds the work done.
    let mut tries = 0;
    while let Err(error) = Migrator::up(&write, None).await {
        tries += 1;
        if tries == 5 {
            return Err(unusable(&error).into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Migrating an up-to-date schema writes nothing, so a store that cannot be written would be noticed too late.
    write
        .execute_unprepared("BEGIN IMMEDIATE; UPDATE meta SET value = value; COMMIT")
        .await
        .map_err(|error| unusable(&error))?;
    let read = connect(&path, 4, true)
        .await
        .map_err(|error| unusable(&error))?;
    Ok((write, read))
}

/// Makes the file, readable for its owner alone, before `SQLite` makes it for everybody; those beside it follow it.
fn make_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // What cannot be written here is told when it is opened.
    let _ = options.open(path);
}

/// The database of a data directory if there is one and it is ours, for reading only.
pub(super) async fn open_existing(data_dir: &Path) -> Option<DatabaseConnection> {
    let path = data_dir.join(FILE);
    if !path.is_file() {
        return None;
    }
    let read = connect(&path, 1, true).await.ok()?;
    look_at(&read, &path).await.ok()?;
    Some(read)
}

/// A new database in the empty file at `path`, up to date, that leaves no second file beside it.
pub(super) async fn create(path: &Path) -> Result<DatabaseConnection, DbErr> {
    let db = one_file(path).await?;
    Migrator::up(&db, None).await?;
    Ok(db)
}

/// Whether a file begins as those of `SQLite` do.
pub(super) fn is_database(path: &Path) -> bool {
    let mut start = [0; 16];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && &start == b"SQLite format 3\0"
}

/// Reads the database at `path` from end to end; what is wrong with it.
pub(super) async fn check(path: &Path) -> Result<(), String> {
    let checked = async {
        let db = one_file(path).await?;
        let rows = db
            .query_all_raw(Statement::from_string(
                DbBackend::Sqlite,
                "PRAGMA integrity_check(1)",
            ))
            .await;
        db.close().await?;
        rows?
            .first()
            .map_or(Ok(String::new()), |row| row.try_get_by_index(0))
    };
    match checked.await {
        Ok(said) if said == "ok" => Ok(()),
        // The finding is of use to nobody who has only the file.
        Ok(_) => Err("its pages contradict each other".to_owned()),
        Err::<_, DbErr>(error) => Err(error.to_string()),
    }
}

/// The copy of a database at `path`, brought up to date.
pub(super) async fn open_copy(path: &Path) -> anyhow::Result<DatabaseConnection> {
    let db = one_file(path).await?;
    refuse_foreign(&db, TABLES, "The file", "Name another file.").await?;
    Migrator::up(&db, None).await?;
    Ok(db)
}

async fn one_file(path: &Path) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new("sqlite::memory:");
    let path = path.to_owned();
    options
        .max_connections(1)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |sqlite| {
            sqlite
                .in_memory(false)
                .shared_cache(false)
                .filename(&path)
                .foreign_keys(false)
                .journal_mode(SqliteJournalMode::Delete)
                .synchronous(SqliteSynchronous::Full)
        });
    Database::connect(options).await
}

async fn look_at(db: &DatabaseConnection, path: &Path) -> anyhow::Result<()> {
    refuse_foreign(
        db,
        TABLES,
        &path.display().to_string(),
        "It was left untouched. Choose another --data-dir.",
    )
    .await
}

fn unusable(path: &Path, error: &DbErr) -> Failure {
    Failure::new(
        "database",
        format!("The database {} cannot be used: {error}.", path.display()),
        "Check that it is a file of zk-bridge and that you may write it, or choose another --data-dir.",
    )
}

async fn connect(
    path: &Path,
    connections: u32,
    read_only: bool,
) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new("sqlite::memory:");
    let path = path.to_owned();
    options
        .max_connections(connections)
        .acquire_timeout(BUSY)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |sqlite| {
            let sqlite = sqlite
                .in_memory(false)
                .shared_cache(false)
                .filename(&path)
                .busy_timeout(BUSY)
                // Rows that its thread may be ahead of us: with few, the two wake each other for every handful.
                .row_buffer_size(1_000)
                .foreign_keys(false);
            if read_only {
                // Not `read_only`: WAL readers must be able to make the shared-memory file.
                sqlite.pragma("query_only", "1")
            } else {
                sqlite
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
            }
        });
    Database::connect(options).await
}
