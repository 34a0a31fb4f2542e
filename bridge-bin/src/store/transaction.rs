//! A transaction whose end can be made to fail by tests.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement,
};

use super::pool::within;
use crate::failpoint;

/// A transaction of the store; dropped without [`commit`](Self::commit), it never was.
#[derive(Debug)]
pub struct Transaction {
    inner: DatabaseTransaction,
    /// How long an answer is waited for.
    patience: Option<Duration>,
}

impl Transaction {
    pub(super) const fn new(inner: DatabaseTransaction, patience: Option<Duration>) -> Self {
        Self { inner, patience }
    }

    /// Lets its statements take their time.
    pub(super) fn take_time(&mut self, patience: Duration) {
        self.patience = self.patience.map(|_| patience);
    }

    /// Makes it last.
    pub async fn commit(self) -> Result<(), DbErr> {
        failpoint::pass("commit.before");
        within(self.patience, self.inner.commit()).await?;
        failpoint::pass("commit.after");
        Ok(())
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
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
