//! A transaction whose end can be made to fail by tests.

use std::time::Duration;

use sea_orm::{DatabaseTransaction, DbErr};

use super::pool::{Patient, within};
use crate::failpoint;

/// A transaction of the store; dropped without [`commit`](Self::commit), it never was.
pub type Transaction = Patient<DatabaseTransaction>;

impl Transaction {
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
