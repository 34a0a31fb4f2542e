//! Everything that outlives the process: one module, `SeaORM` entities and migrations, and the queries.
//!
//! Stations meet only here (design 1). On `SQLite` writes go through one connection and begin immediately, because
//! under WAL a transaction that reads first and writes later fails at once when another writer came between; reads
//! have a pool of their own. How the same holds for many nodes on `PostgreSQL` is said in `postgres`.

pub mod accounts;
pub mod alarms;
mod back_off;
pub mod backup;
pub mod bell;
mod copy;
pub mod dashboard;
pub mod days;
pub mod dead_letters;
pub mod devices;
pub mod due;
pub mod entity;
pub mod leases;
mod location;
pub mod migration;
pub mod nodes;
pub mod outbox;
pub mod people;
mod pool;
mod postgres;
pub mod punches;
pub mod queue;
pub mod retention;
pub mod schedule;
mod sqlite;
pub mod status;
pub mod targets;
pub mod told;
mod transaction;
mod trouble;
mod unchanged;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict, SimpleExpr};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, IsolationLevel,
    SqliteTransactionMode, Statement, TransactionOptions,
};
use sea_orm_migration::MigratorTrait;
use tokio::sync::Semaphore;

pub use location::{DatabaseUrl, Location};
pub use pool::{Patient, Pool};
pub use told::Told;
pub use transaction::Transaction;

use crate::failure::Failure;
use entity::meta;

/// The name of the database inside a data directory.
pub const FILE: &str = "zk-bridge.db";

/// How long anybody waits for a connection or for another writer.
const BUSY: Duration = Duration::from_secs(20);

/// How long anybody waits who only asks whether it answers.
const SOON: Duration = Duration::from_secs(2);

/// Begins the error of a write after `store move`; `failure::of` knows it.
const MOVED: &str = "the data was moved to ";

/// Remembered by a database: where `store move` brought its content, where it is bringing it, and by what the copy is
/// known that came from elsewhere and was never used.
const MOVED_TO: &str = "moved_to";
const MOVING_TO: &str = "moving_to";
const MOVED_FROM: &str = "moved_from";

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

/// An open database.
#[derive(Debug, Clone)]
pub struct Store {
    read: Pool,
    write: Pool,
    /// For what never waits for the writer's lock, so that a lease is renewed however many wait for that.
    beside: Pool,
    /// Readings are stored a few at a time, so that claims and renewals do not wait behind hundreds of them.
    intakes: Arc<Semaphore>,
    /// Readings that wait to be stored with others.
    unchanged: unchanged::Queue,
    location: Arc<Location>,
}

/// Readings that one node stores at a time.
const INTAKES: usize = 2;

impl Store {
    /// Opens a database, makes what is missing, and brings the schema up to date. For `SQLite` the data directory
    /// says where.
    ///
    /// A database that is not ours, or was made for the other `kind`, or was moved elsewhere, is refused untouched.
    pub async fn open(location: impl Into<Location>, kind: Kind) -> anyhow::Result<Self> {
        let store = Self::open_any(location.into()).await?;
        refuse_moved(&store.read).await?;
        store.claim_kind(kind).await?;
        store.note_moves().await?;
        Ok(store)
    }

    /// What was copied here by `store move` is in use from now on; what was to be copied elsewhere is not.
    async fn note_moves(&self) -> anyhow::Result<()> {
        let moving = backup::Moving::of(&self.read).await?;
        if let Some(mut moving) = moving.filter(|moving| !moving.is_told) {
            // Whoever moves lets nobody else write, so one that is under way ends first.
            let tx = self.begin().await?;
            tracing::warn!(
                "a move of the data to {} was cut off; this database is still the one in use, and `zk-bridge store move` \
                 can be run again",
                moving.to
            );
            moving.is_told = true;
            moving.note(&tx).await?;
            tx.commit().await?;
        }
        if self.meta(MOVED_FROM).await?.is_some() {
            let tx = self.begin().await?;
            meta::Entity::delete_by_id(MOVED_FROM).exec(&tx).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Opens a database up to date, whatever it holds.
    async fn open_any(location: Location) -> anyhow::Result<Self> {
        let (write, beside, read) = match &location {
            Location::Sqlite(data_dir) => {
                let (write, read) = sqlite::open(data_dir).await?;
                (write.clone(), write, read)
            }
            Location::Postgres(url) => postgres::open(url).await?,
        };
        Ok(Self {
            read: Pool::new(read),
            write: Pool::new(write),
            beside: Pool::new(beside),
            intakes: Arc::new(Semaphore::new(INTAKES)),
            unchanged: unchanged::Queue::default(),
            location: Arc::new(location),
        })
    }

    /// Opens a database only if there is one and it is ours; never makes or changes anything.
    pub async fn open_existing(location: impl Into<Location>) -> Option<Self> {
        let location = location.into();
        let read = match &location {
            Location::Sqlite(data_dir) => sqlite::open_existing(data_dir).await?,
            Location::Postgres(url) => postgres::open_existing(url).await?,
        };
        let read = Pool::new(read);
        Some(Self {
            write: read.clone(),
            beside: read.clone(),
            read,
            intakes: Arc::new(Semaphore::new(INTAKES)),
            unchanged: unchanged::Queue::default(),
            location: Arc::new(location),
        })
    }

    /// Where it lies.
    pub fn location(&self) -> &Location {
        &self.location
    }

    async fn claim_kind(&self, kind: Kind) -> anyhow::Result<()> {
        match self.meta("kind").await? {
            None => Ok(self.set_meta("kind", kind.name()).await?),
            Some(found) if found == kind.name() => Ok(()),
            Some(found) => Err(Failure::new(
                "data_dir",
                match &*self.location {
                    Location::Sqlite(data_dir) => {
                        format!("The data directory {} was made by {found}.", data_dir.display())
                    }
                    location @ Location::Postgres(_) => {
                        format!("The database {location} was made by {found}.")
                    }
                },
                match kind {
                    Kind::Demo => "Choose an empty directory with --data-dir: the demonstration never touches real data.",
                    Kind::Bridge => "Choose another directory with --data-dir, or run `zk-bridge demo` on this one.",
                },
            )
            .into()),
        }
    }

    /// The pool for reading.
    pub const fn reader(&self) -> &Pool {
        &self.read
    }

    /// Tells every statement as it is executed: for finding what is slow, and for tests.
    pub fn on_statement(&mut self, tell: impl Fn(&Statement) + Clone + Send + Sync + 'static) {
        for db in [&mut self.read, &mut self.write, &mut self.beside] {
            let tell = tell.clone();
            db.inner_mut()
                .set_metric_callback(move |info| tell(info.statement));
        }
    }

    /// The connection that writes, for tests that make it fail.
    #[cfg(feature = "failpoints")]
    pub const fn writer(&self) -> &Pool {
        &self.write
    }

    /// Waits for no answer any longer than this: for tests.
    #[cfg(feature = "failpoints")]
    pub const fn lose_patience(&mut self, patience: Duration) {
        self.read.lose_patience(patience);
        self.write.lose_patience(patience);
        self.beside.lose_patience(patience);
    }

    /// Begins a transaction that holds the right to write from its first moment, alone among all nodes.
    pub async fn begin(&self) -> Result<Transaction, DbErr> {
        let tx = begin_on(&self.write).await?;
        alone(&tx).await?;
        Ok(tx)
    }

    /// Begins a transaction that writes beside others, where the database can: for what guards itself by row locks
    /// and unique keys.
    pub async fn begin_beside(&self) -> Result<Transaction, DbErr> {
        begin_on(&self.beside).await
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

    /// Whether the database answers, and soon, and is to be written.
    pub async fn ready(&self) -> bool {
        let asked =
            async { self.meta("kind").await.is_ok() && refuse_moved(&self.read).await.is_ok() };
        tokio::time::timeout(SOON, asked).await.unwrap_or(false)
    }
}

async fn begin_on(db: &Pool) -> Result<Transaction, DbErr> {
    let tx = begin_raw(db).await?;
    if tx.get_database_backend() == DbBackend::Postgres {
        postgres::enter(&tx).await?;
    }
    refuse_moved(&tx).await?;
    Ok(tx)
}

async fn begin_raw(db: &Pool) -> Result<Transaction, DbErr> {
    let postgres = db.get_database_backend() == DbBackend::Postgres;
    let options = TransactionOptions {
        isolation_level: postgres.then_some(IsolationLevel::ReadCommitted),
        sqlite_transaction_mode: (!postgres).then_some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    db.begin(options).await
}

/// From here to its end the transaction writes alone among all nodes. On `SQLite` it does so anyway.
async fn alone(tx: &impl ConnectionTrait) -> Result<(), DbErr> {
    match tx.get_database_backend() {
        DbBackend::Postgres => postgres::alone(tx).await,
        _ => Ok(()),
    }
}

/// The present in Unix milliseconds by the clock that all nodes share: the database's, or on `SQLite` the machine's,
/// which is `now_ms`.
fn shared_now(db: &impl ConnectionTrait, now_ms: i64) -> SimpleExpr {
    match db.get_database_backend() {
        DbBackend::Postgres => {
            Expr::cust("CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)")
        }
        _ => Expr::value(now_ms),
    }
}

/// A text from outside as both databases can hold it: `PostgreSQL` refuses NUL.
fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// What was moved away is never written again, not even by a node that was running meanwhile.
async fn refuse_moved(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    match meta::Entity::find_by_id(MOVED_TO).one(db).await? {
        Some(row) => Err(DbErr::Custom(format!("{MOVED}{}", row.value))),
        None => Ok(()),
    }
}

/// What a failure of the database means, and what to do.
pub(crate) fn failure(error: &DbErr) -> Failure {
    if let DbErr::Custom(text) = error
        && text.starts_with(MOVED)
    {
        return Failure::new(
            "moved",
            format!("Nothing was written: {text}."),
            "Set database_url in zk-bridge.toml (or ZK_BRIDGE_DATABASE_URL) to the new place and start again.",
        );
    }
    trouble::failure(error).unwrap_or_else(|| {
        Failure::new(
            Failure::DATABASE,
            format!("The database failed: {error}."),
            "Nothing is half done. Try again; if it repeats, check that the database runs, has room and may be written.",
        )
    })
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

/// Refuses a database called `name` unless it is empty or has our tables; `list` selects the names of its tables.
async fn refuse_foreign(
    db: &DatabaseConnection,
    list: &str,
    name: &str,
    remedy: &str,
) -> anyhow::Result<()> {
    let foreign = |why: String| {
        Failure::new(
            "foreign_database",
            format!("{name} is not a database of zk-bridge: {why}."),
            remedy,
        )
    };
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), list))
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
    if ours {
        return refuse_newer(db, name).await;
    }
    if born {
        return Ok(());
    }
    Err(foreign(format!(
        "it has the tables {} but no schema table of ours",
        names.join(", ")
    ))
    .into())
}

/// Refuses a schema that this version does not know.
async fn refuse_newer(db: &DatabaseConnection, name: &str) -> anyhow::Result<()> {
    let applied = Statement::from_string(
        db.get_database_backend(),
        "SELECT version FROM seaql_migrations ORDER BY version",
    );
    let known = migration::Migrator::migrations();
    for row in db.query_all_raw(applied).await? {
        let version: String = row.try_get("", "version")?;
        if !known.iter().any(|step| step.name() == version) {
            return Err(Failure::new(
                "newer_schema",
                format!("{name} was written by a newer zk-bridge (it has {version})."),
                "It was left untouched. Use that version or a later one.",
            )
            .into());
        }
    }
    Ok(())
}
