//! `PostgreSQL`: any number of nodes on one database.
//!
//! Transactions are READ COMMITTED. [`begin`](super::Store::begin) takes the writer's lock, so that what was written
//! with `SQLite`'s one writer in mind is as safe between nodes; what runs often and guards itself by row locks and
//! unique keys begins with [`begin_beside`](super::Store::begin_beside) and takes no such lock.

use std::collections::HashSet;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::{ConnectOptions as _, Connection as _, Executor, PgConnection, PgPool};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, SqlxPostgresConnector, Statement,
};
use sea_orm_migration::MigratorTrait;

use super::migration::Migrator;
use super::{BUSY, DatabaseUrl, SOON, refuse_foreign};
use crate::failure::Failure;

/// Connections of one node for reading, and for writing beside others; a server takes a hundred unless told otherwise.
const CONNECTIONS: u32 = 4;

/// Connections for writing alone: one at work, and one that waits for the writer's lock.
const WRITERS: u32 = 2;

/// A node that stops in the middle of a transaction, and so in possession of its locks, is cut off. Shorter than
/// [`BUSY`], so that whoever waits for the locks is served rather than refused.
const SESSION: &str = "SET lock_timeout = '20s'; SET statement_timeout = '300s'; \
                       SET idle_in_transaction_session_timeout = '10s'; SET client_min_messages = warning";

/// A first sign of life; afterwards the pool waits for a server that is starting again.
const HELLO: Duration = Duration::from_secs(10);

/// Our locks among those of whoever else uses the database.
const CLASS: i32 = 0x7a6b;

const TABLES: &str = "SELECT table_name AS name FROM information_schema.tables \
                      WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'";

/// Opens the database for writing alone, for writing beside others and for reading, up to date.
pub(super) async fn open(
    url: &DatabaseUrl,
) -> anyhow::Result<(DatabaseConnection, DatabaseConnection, DatabaseConnection)> {
    let options = options(url)?;
    check_server(&options, HELLO)
        .await
        .map_err(|why| unusable(url, &why))?;
    prepare(url, &options).await?;
    let write = pool(&options, WRITERS, SESSION.to_owned());
    let beside = pool(&options, CONNECTIONS, SESSION.to_owned());
    let read = pool(
        &options,
        CONNECTIONS,
        format!("{SESSION}; SET default_transaction_read_only = on"),
    );
    Ok((write, beside, read))
}

/// The database if it answers soon and is ours, for reading only.
pub(super) async fn open_existing(url: &DatabaseUrl) -> Option<DatabaseConnection> {
    let options = options(url).ok()?;
    check_server(&options, SOON).await.ok()?;
    let read = pool(
        &options,
        1,
        format!("{SESSION}; SET default_transaction_read_only = on"),
    );
    look_at(&read, url).await.ok()?;
    Some(read)
}

fn options(url: &DatabaseUrl) -> anyhow::Result<PgConnectOptions> {
    let options = url.options().map_err(|why| unusable(url, &why))?;
    Ok(options
        .application_name("zk-bridge")
        .disable_statement_logging())
}

/// Connects once, because a pool goes on trying in silence and then only says that it took too long.
async fn check_server(options: &PgConnectOptions, patience: Duration) -> Result<(), String> {
    let hello = async {
        let mut connection = PgConnection::connect_with(options).await?;
        let encoding: String = sea_orm::sqlx::query_scalar("SHOW server_encoding")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok::<_, sea_orm::sqlx::Error>(encoding)
    };
    match tokio::time::timeout(patience, hello).await {
        Err(_) => Err(format!("it did not answer within {} s", patience.as_secs())),
        Ok(Err(error)) => Err(crate::cause::beneath(&error)),
        Ok(Ok(encoding)) if encoding != "UTF8" => Err(format!(
            "its encoding is {encoding}, and names need UTF8 (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0)"
        )),
        Ok(Ok(_)) => Ok(()),
    }
}

/// Brings the schema up to date, one node at a time.
async fn prepare(url: &DatabaseUrl, options: &PgConnectOptions) -> anyhow::Result<()> {
    let failed = |error: DbErr| unusable(url, &error.to_string());
    // One connection, because the lock belongs to it. A migration of a large table may take its time.
    let db = pool(options, 1, "SET client_min_messages = warning".to_owned());
    db.execute_unprepared(&format!("SELECT pg_advisory_lock({CLASS}, 0)"))
        .await
        .map_err(failed)?;
    look_at(&db, url).await?;
    // Even looking for what is to be done wants the right to create, which a careful owner does not give.
    if is_behind(&db).await.map_err(failed)? {
        if !may_create(&db).await.map_err(failed)? {
            return Err(Failure::new(
                "database",
                format!("The schema of the PostgreSQL database {url} is not up to date, and its user may not change it."),
                "Start this version once as the owner of the schema, or GRANT CREATE ON SCHEMA to the user.",
            )
            .into());
        }
        Migrator::up(&db, None).await.map_err(failed)?;
    }
    order_by_bytes(&db).await.map_err(failed)?;
    // Closing gives the lock back.
    db.close().await?;
    Ok(())
}

/// Whether there are migrations to be made.
async fn is_behind(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let list = "SELECT 1 AS n FROM information_schema.tables \
                WHERE table_schema = current_schema() AND table_name = 'seaql_migrations'";
    let ask = |sql: &str| Statement::from_string(DbBackend::Postgres, sql);
    if db.query_one_raw(ask(list)).await?.is_none() {
        return Ok(true);
    }
    let rows = db
        .query_all_raw(ask("SELECT version FROM seaql_migrations"))
        .await?;
    let made: HashSet<String> = rows
        .iter()
        .map(|row| row.try_get("", "version"))
        .collect::<Result<_, _>>()?;
    Ok(Migrator::migrations()
        .iter()
        .any(|step| !made.contains(step.name())))
}

async fn may_create(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let ask = "SELECT COALESCE(has_schema_privilege(current_schema(), 'CREATE'), FALSE) AS may";
    let ask = Statement::from_string(DbBackend::Postgres, ask);
    let row = db.query_one_raw(ask).await?;
    row.map_or(Ok(false), |row| row.try_get("", "may"))
}

async fn look_at(db: &DatabaseConnection, url: &DatabaseUrl) -> anyhow::Result<()> {
    refuse_foreign(
        db,
        TABLES,
        &format!("The database {url}"),
        "It was left untouched. Make a database of its own (CREATE DATABASE), or a schema that the URL names with \
         ?options=-csearch_path=NAME.",
    )
    .await
}

/// Text orders and compares by its bytes, as in `SQLite` and in Rust: pages of a list are continued by comparing.
async fn order_by_bytes(db: &DatabaseConnection) -> Result<(), DbErr> {
    let columns = "SELECT table_name, column_name, data_type FROM information_schema.columns \
                   JOIN information_schema.tables USING (table_schema, table_name) \
                   WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' \
                   AND data_type IN ('character varying', 'text') AND collation_name IS DISTINCT FROM 'C'";
    let rows = db
        .query_all_raw(Statement::from_string(DbBackend::Postgres, columns))
        .await?;
    for row in rows {
        let (table, column, of_type): (String, String, String) = (
            row.try_get("", "table_name")?,
            row.try_get("", "column_name")?,
            row.try_get("", "data_type")?,
        );
        db.execute_unprepared(&format!(
            "ALTER TABLE \"{table}\" ALTER COLUMN \"{column}\" TYPE {of_type} COLLATE \"C\""
        ))
        .await?;
    }
    Ok(())
}

fn pool(options: &PgConnectOptions, connections: u32, session: String) -> DatabaseConnection {
    let pool: PgPool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(BUSY)
        .after_connect(move |connection, _| {
            let session = session.clone();
            Box::pin(async move {
                connection
                    .execute(sea_orm::sqlx::AssertSqlSafe(session))
                    .await
                    .map(drop)
            })
        })
        .connect_lazy_with(options.clone());
    SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
}

fn unusable(url: &DatabaseUrl, why: &str) -> Failure {
    Failure::new(
        "database",
        format!(
            "The PostgreSQL database {url} cannot be used: {}.",
            why.trim_end_matches('.')
        ),
        "Check database_url (ZK_BRIDGE_DATABASE_URL), that the server runs, and that its user owns the database.",
    )
}

/// Waits until no `store move` or `restore` is replacing everything, and keeps the next one waiting.
pub(super) async fn enter(tx: &impl ConnectionTrait) -> Result<(), DbErr> {
    tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock_shared({CLASS}, 1)"))
        .await?;
    Ok(())
}

/// Keeps everybody else from writing until the transaction ends.
pub(super) async fn close_to_all(tx: &impl ConnectionTrait) -> Result<(), DbErr> {
    without_haste(tx).await?;
    tx.execute_unprepared(&format!(
        "SET LOCAL lock_timeout = '60s'; SELECT pg_advisory_xact_lock({CLASS}, 1)"
    ))
    .await?;
    Ok(())
}

/// Whoever copies a whole database may be silent for long.
pub(super) async fn without_haste(tx: &impl ConnectionTrait) -> Result<(), DbErr> {
    tx.execute_unprepared(
        "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0",
    )
    .await?;
    Ok(())
}

/// Takes the writer's lock for the rest of the transaction.
pub(super) async fn alone(tx: &impl ConnectionTrait) -> Result<(), DbErr> {
    tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({CLASS}, 2)"))
        .await?;
    Ok(())
}
