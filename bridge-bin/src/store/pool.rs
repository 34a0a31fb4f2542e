//! Connections that nobody waits for without end.
//!
//! A server whose machine vanishes says nothing ever again, and sqlx neither asks whether it is there nor gives up. So
//! every answer is waited for a little longer than the server itself would work on it, here and in
//! [`Transaction`](super::Transaction) alone.

use std::io;
use std::time::Duration;

use sea_orm::sqlx::{self, PgPool};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement, TransactionOptions, TransactionTrait,
};

use super::Transaction;

/// Longer than `statement_timeout`.
const PATIENCE: Duration = Duration::from_secs(330);

/// The same where a statement may take its time: a whole table is copied or emptied.
pub(super) const LONG_PATIENCE: Duration = Duration::from_hours(2);

/// What asks the database and waits for its answers, but not for ever.
#[derive(Debug, Clone)]
pub struct Patient<C> {
    pub(super) inner: C,
    /// None where the database is a file of this machine.
    pub(super) patience: Option<Duration>,
}

/// A pool of connections.
pub type Pool = Patient<DatabaseConnection>;

impl Pool {
    pub(super) fn new(inner: DatabaseConnection) -> Self {
        let is_elsewhere = inner.get_database_backend() == DbBackend::Postgres;
        Self {
            patience: is_elsewhere.then_some(PATIENCE),
            inner,
        }
    }

    /// The same, less patient: for tests.
    #[cfg(feature = "failpoints")]
    pub(super) const fn lose_patience(&mut self, patience: Duration) {
        self.patience = Some(patience);
    }

    pub(super) const fn inner_mut(&mut self) -> &mut DatabaseConnection {
        &mut self.inner
    }

    /// The pool below, on `PostgreSQL`.
    pub(super) fn postgres(&self) -> Option<&PgPool> {
        (self.inner.get_database_backend() == DbBackend::Postgres)
            .then(|| self.inner.get_postgres_connection_pool())
    }

    pub(super) async fn begin(&self, options: TransactionOptions) -> Result<Transaction, DbErr> {
        Ok(Transaction {
            inner: within(self.patience, self.inner.begin_with_options(options)).await?,
            patience: self.patience,
        })
    }

    pub(super) async fn close(self) -> Result<(), DbErr> {
        self.inner.close().await
    }
}

/// What `work` brings, unless it takes longer than anybody works on it.
pub(super) async fn within<T>(
    patience: Option<Duration>,
    work: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, DbErr> {
    let Some(patience) = patience else {
        return work.await;
    };
    tokio::time::timeout(patience, work)
        .await
        .unwrap_or_else(|_| Err(silence(patience)))
}

fn silence(patience: Duration) -> DbErr {
    let words = format!("it did not answer within {} s", patience.as_secs());
    let error = sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, words));
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}

#[async_trait::async_trait]
impl<C: ConnectionTrait> ConnectionTrait for Patient<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        within(self.patience, self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        within(self.patience, self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        within(self.patience, self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        within(self.patience, self.inner.query_all_raw(statement)).await
    }
}
