//! Web sessions in our own store.

use std::collections::HashMap;
use std::fmt::Display;

use async_trait::async_trait;
use axum_login::tower_sessions::cookie::SameSite;
use axum_login::tower_sessions::cookie::time::{Duration, OffsetDateTime};
use axum_login::tower_sessions::session::{Id, Record};
use axum_login::tower_sessions::session_store::{Error, Result};
use axum_login::tower_sessions::{Expiry, SessionManagerLayer, SessionStore};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::App;
use crate::clock::Clock;
use crate::secret::token_hash;
use crate::store::Store;

/// A working day: who logs in in the morning is not asked again before the evening.
const LIFE: Duration = Duration::hours(12);

/// The sessions of an app.
///
/// Their cookie is not `Secure`, because on loopback and behind a TLS proxy we speak plain HTTP ourselves.
pub(super) fn layer(app: &App) -> SessionManagerLayer<Sessions> {
    SessionManagerLayer::new(Sessions {
        store: app.store.clone(),
        clock: app.clock,
    })
    .with_name("zk_bridge_session")
    .with_http_only(true)
    .with_same_site(SameSite::Lax)
    .with_secure(false)
    .with_expiry(Expiry::OnInactivity(LIFE))
}

/// Sessions by the hash of their id, so that whoever reads a backup cannot take one over.
#[derive(Debug, Clone)]
pub(super) struct Sessions {
    store: Store,
    clock: Clock,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    data: HashMap<String, Value>,
    expires_at: i64,
}

fn key(id: &Id) -> String {
    token_hash(&id.to_string())
}

fn backend(error: impl Display) -> Error {
    Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        // An id has 128 random bits: two of them never meet.
        self.save(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let stored = Stored {
            data: record.data.clone(),
            expires_at: record.expiry_date.unix_timestamp(),
        };
        let data =
            serde_json::to_string(&stored).map_err(|error| Error::Encode(error.to_string()))?;
        self.store
            .save_session(&key(&record.id), data, stored.expires_at)
            .await
            .map_err(backend)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let Some(data) = self
            .store
            .session(&key(id), self.clock.now())
            .await
            .map_err(backend)?
        else {
            return Ok(None);
        };
        let decode = |error: String| Error::Decode(error);
        let stored: Stored =
            serde_json::from_str(&data).map_err(|error| decode(error.to_string()))?;
        let expiry_date = OffsetDateTime::from_unix_timestamp(stored.expires_at)
            .map_err(|error| decode(error.to_string()))?;
        Ok(Some(Record {
            id: *id,
            data: stored.data,
            expiry_date,
        }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.store
            .delete_session(&key(id), self.clock.now())
            .await
            .map_err(backend)
    }
}
