//! Tells the other nodes that there is work, so that they need not wait for their next look.
//!
//! `PostgreSQL` carries it with `LISTEN` and `NOTIFY`, and only once the transaction that made the work is there to
//! be seen. It is a hint, never the work itself: a call that is lost costs the time until the next look. On `SQLite`
//! all nodes are on one machine, usually there is one, and they look by themselves.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgListener;
use sea_orm::sqlx::{self, PgPool};
use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Store;

const CHANNEL: &str = "zk_bridge_work";

/// Between two tries of a listener whose connection broke.
const PAUSE: Duration = Duration::from_secs(1);

/// After so long a silence the connection is made anew: nobody else would notice that its other end is gone.
const SILENCE: Duration = Duration::from_mins(5);

/// Calls for everybody, once the transaction `db` is committed.
pub(super) async fn ring(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    if db.get_database_backend() == DbBackend::Postgres {
        db.execute_unprepared(&format!("NOTIFY {CHANNEL}")).await?;
    }
    Ok(())
}

/// Hears of work. Dropping it ends the listening.
#[derive(Debug)]
pub struct Bell {
    calls: Arc<Notify>,
    _listener: JoinSet<()>,
}

impl Bell {
    /// That of a store.
    pub fn of(store: &Store) -> Self {
        let calls = Arc::new(Notify::new());
        let mut listener = JoinSet::new();
        if let Some(pool) = store.reader().postgres() {
            listener.spawn(listen(pool.clone(), Arc::clone(&calls)));
        }
        Self {
            calls,
            _listener: listener,
        }
    }

    /// Completes when somebody called since this was last asked.
    pub async fn rung(&self) {
        self.calls.notified().await;
    }
}

async fn listen(pool: PgPool, calls: Arc<Notify>) {
    loop {
        // Ends with an error alone.
        let Err(error) = hear(&pool, &calls).await;
        tracing::debug!(%error, "not listening for work; looking from time to time");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(pool: &PgPool, calls: &Notify) -> Result<std::convert::Infallible, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // Also at the beginning, and when a broken connection stands again: a call may have been missed.
        calls.notify_one();
        timeout(SILENCE, listener.try_recv())
            .await
            .map_err(io::Error::from)??;
    }
}
