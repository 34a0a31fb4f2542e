//! Everything that outlives the process: one module, `SeaORM` entities and migrations, and the queries.
//!
//! Stations meet only here (design 1). Writes go through one connection and begin immediately, because under WAL a
//! transaction that reads first and writes later fails at once when another writer came between; reads have a pool
//! of their own.

pub mod accounts;
pub mod bell;
pub mod dashboard;
pub mod days;
pub mod devices;
pub mod due;
pub mod entity;
pub mod leases;
pub mod migration;
pub mod nodes;
pub mod outbox;
pub mod people;
pub mod punches;
pub mod schedule;
pub mod told;
mod transaction;
pub mod trouble;

use std::path::Path;
use std::time::Duration;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr, EntityTrait,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;

pub use told::Told;
pub use transaction::Transaction;

use crate::failure::Failure;
use entity::meta;

/// The name of the database inside a data directory.
pub const FILE: &str = "zk-bridge.db";

const BUSY: Duration = Duration::from_secs(20);

/// What a data directory was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Real terminals.
    Bridge,
    /// The demonstration; never mixed with the former.
    Demo,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Demo => "demo",
        }
    }
}

/// The database of one data directory.
#[derive(Debug, Clone)]
pub struct Store {
    read: DatabaseConnection,
    write: DatabaseConnection,
}

impl Store {
    /// Opens the database in `data_dir`, makes both if they are missing, and brings the schema up to date.
    ///
    /// A database that is not ours, or was made for the other `kind`, is refused untouched.
    pub async fn open(data_dir: &Path, kind: Kind) -> anyhow::Result<Self> {
        prepare_directory(data_dir)?;
        let path = data_dir.join(FILE);
        let fresh = std::fs::metadata(&path).map_or(true, |data| data.len() == 0);
        let unusable = |error: &DbErr| {
            Failure::new(
                "database",
                format!("The database {} cannot be used: {error}.", path.display()),
                "Check that it is a file of zk-bridge and that you may write it, or choose another --data-dir.",
            )
        };
        if !fresh {
            // Looked at by a connection that cannot write: turning WAL on would change the file already.
            let look = connect(&path, 1, true)
                .await
                .map_err(|error| unusable(&error))?;
            let ours = refuse_foreign(&look, &path).await;
            look.close().await?;
            ours?;
        }
        let write = connect(&path, 1, false)
            .await
            .map_err(|error| unusable(&error))?;
        // Two processes may meet at the first start; whoever comes second finds the work done.
        let mut tries = 0;
        while let Err(error) = migration::Migrator::up(&write, None).await {
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
        let store = Self { read, write };
        store.claim_kind(kind, data_dir).await?;
        Ok(store)
    }

    /// Opens the database of `data_dir` only if there is one and it is ours; never makes or changes anything.
    pub async fn open_existing(data_dir: &Path) -> Option<Self> {
        let path = data_dir.join(FILE);
        if !path.is_file() {
            return None;
        }
        let read = connect(&path, 1, true).await.ok()?;
        refuse_foreign(&read, &path).await.ok()?;
        Some(Self {
            write: read.clone(),
            read,
        })
    }

    async fn claim_kind(&self, kind: Kind, data_dir: &Path) -> anyhow::Result<()> {
        match self.meta("kind").await? {
            None => Ok(self.set_meta("kind", kind.name()).await?),
            Some(found) if found == kind.name() => Ok(()),
            Some(found) => Err(Failure::new(
                "data_dir",
                format!("The data directory {} was made by {found}.", data_dir.display()),
                match kind {
                    Kind::Demo => "Choose an empty directory with --data-dir: the demonstration never touches real data.",
                    Kind::Bridge => "Choose another directory with --data-dir, or run `zk-bridge demo` on this one.",
                },
            )
            .into()),
        }
    }

    /// The pool for reading.
    pub const fn reader(&self) -> &DatabaseConnection {
        &self.read
    }

    /// Begins a transaction that holds the right to write from its first moment.
    pub async fn begin(&self) -> Result<Transaction, DbErr> {
        self.write
            .begin_with_options(TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            })
            .await
            .map(Transaction::new)
    }

    /// A remembered value.
    pub async fn meta(&self, key: &str) -> Result<Option<String>, DbErr> {
        Ok(meta::Entity::find_by_id(key)
            .one(&self.read)
            .await?
            .map(|row| row.value))
    }

    /// Remembers a value.
    pub async fn set_meta(&self, key: &str, value: &str) -> Result<(), DbErr> {
        set_meta(&self.write, key, value).await
    }

    /// Whether the database answers.
    pub async fn ready(&self) -> bool {
        self.meta("kind").await.is_ok()
    }
}

/// Remembers a value inside a transaction.
pub async fn set_meta(db: &impl ConnectionTrait, key: &str, value: &str) -> Result<(), DbErr> {
    let row = meta::ActiveModel {
        key: Set(key.to_owned()),
        value: Set(value.to_owned()),
    };
    meta::Entity::insert(row)
        .on_conflict(
            OnConflict::column(meta::Column::Key)
                .update_column(meta::Column::Value)
                .to_owned(),
        )
        .exec_without_returning(db)
        .await?;
    Ok(())
}

/// Makes the directory, readable for its owner alone: it holds personal data.
pub fn prepare_directory(data_dir: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(data_dir).map_err(|error| {
        Failure::new(
            "data_dir",
            format!(
                "The data directory {} cannot be used: {error}.",
                data_dir.display()
            ),
            "Choose a directory you may write to with --data-dir or ZK_BRIDGE_DATA_DIR.",
        )
        .into()
    })
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
                .foreign_keys(false);
            if read_only {
                // Not `read_only`: WAL readers must be able to make the shared-memory file.
                sqlite.pragma("query_only", "1")
            } else {
                sqlite
                    .create_if_missing(true)
                    .journal_mode(sea_orm::sqlx::sqlite::SqliteJournalMode::Wal)
                    .synchronous(sea_orm::sqlx::sqlite::SqliteSynchronous::Full)
            }
        });
    Database::connect(options).await
}

async fn refuse_foreign(db: &DatabaseConnection, path: &Path) -> anyhow::Result<()> {
    let foreign = |why: String| {
        Failure::new(
            "foreign_database",
            format!("{} is not a database of zk-bridge: {why}.", path.display()),
            "It was left untouched. Choose another --data-dir.",
        )
    };
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), tables))
        .await
        .map_err(|error| foreign(error.to_string()))?;
    let names: Vec<String> = rows
        .iter()
        .filter_map(|row| row.try_get("", "name").ok())
        .collect();
    // Before the first migration there is only its list, and each migration is all or nothing.
    let born = names.iter().all(|name| name == "seaql_migrations");
    let ours = ["seaql_migrations", "meta", "punch"]
        .iter()
        .all(|wanted| names.iter().any(|name| name == wanted));
    if born || ours {
        return Ok(());
    }
    Err(foreign(format!(
        "it has the tables {} but no schema table of ours",
        names.join(", ")
    ))
    .into())
}
