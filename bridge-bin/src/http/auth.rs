//! Who somebody is: accounts, passwords, single-use login links, and tokens of programs.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum_login::{AuthSession, AuthUser, AuthnBackend};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::error::Error;
use crate::app::App;
use crate::secret;
use crate::store::Store;
use crate::store::entity::account;

/// How long a login link is good for, in seconds.
const LINK_LIFE: i64 = 600;

/// Passwords checked at the same time: each takes 19 MiB and a core.
const MOST_CHECKS: usize = 2;

/// The session of a request.
pub(super) type Session = AuthSession<Backend>;

/// Hashes a password with argon2id and a salt of its own. How long it must be is the caller's business.
pub fn hash_password(password: &str) -> anyhow::Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    Ok(hash
        .map_err(|error| anyhow!("the password could not be hashed: {error}"))?
        .to_string())
}

/// Makes a login link for an account: the path of an address that logs in once, within ten minutes, on this machine.
pub async fn login_link(app: &App, account: &account::Model) -> anyhow::Result<String> {
    let token = secret::hex(&secret::random::<32>());
    app.store
        .add_login_link(
            &secret::token_hash(&token),
            account.id,
            app.clock.now() + LINK_LIFE,
        )
        .await?;
    Ok(format!("/login/link/{token}"))
}

/// Makes a token for a program. It is shown once and stored by its hash.
pub async fn add_token(app: &App, name: &str, role: &str) -> anyhow::Result<String> {
    let token = secret::hex(&secret::random::<32>());
    let hash = secret::token_hash(&token);
    app.store
        .add_token(name, role, &hash, app.clock.now())
        .await?;
    Ok(token)
}

/// The token that a request carries: `Bearer` as Prometheus sends it, or `Token` as the old bridges did.
pub(super) fn token_of(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let is_known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
    is_known.then(|| token.trim())
}

/// Takes as long as with a real hash, so that the time of an answer does not tell which names exist.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_password("nobody").unwrap_or_default());

fn is_right(hash: Option<&str>, password: &str) -> bool {
    let nobody = NOBODY.as_str();
    let Ok(parsed) = PasswordHash::new(hash.unwrap_or(nobody)) else {
        return false;
    };
    let matches = Argon2::default()
        .verify_password(password.as_bytes(), &parsed)
        .is_ok();
    matches && hash.is_some()
}

/// Somebody who is logged in.
#[derive(Clone)]
pub(super) struct User {
    id: i64,
    pub(super) name: String,
    pub(super) role: String,
    /// A new password ends all sessions that began under the old one.
    fingerprint: [u8; 32],
}

impl User {
    /// Whether commands on the bridge's machine are this person's to give.
    pub(super) fn is_administrator(&self) -> bool {
        self.role == "admin"
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl From<account::Model> for User {
    fn from(row: account::Model) -> Self {
        let fingerprint = Sha256::digest(row.password_hash.as_bytes()).into();
        Self {
            id: row.id,
            name: row.name,
            role: row.role,
            fingerprint,
        }
    }
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        &self.fingerprint
    }
}

/// A name with a password, as typed.
pub(super) struct Credentials {
    pub(super) name: String,
    pub(super) password: String,
}

/// Accounts in the store.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    store: Store,
    checks: Arc<Semaphore>,
}

impl Backend {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            checks: Arc::new(Semaphore::new(MOST_CHECKS)),
        }
    }
}

impl AuthnBackend for Backend {
    type User = User;
    type Credentials = Credentials;
    type Error = Error;

    async fn authenticate(
        &self,
        Credentials { name, password }: Credentials,
    ) -> Result<Option<User>, Error> {
        let account = self.store.account(&name).await?;
        let hash = account.as_ref().map(|row| row.password_hash.clone());
        let turn = Arc::clone(&self.checks)
            .acquire_owned()
            .await
            .context("passwords are not checked any more")?;
        // A thread of its own: each thread of the pool would keep the 19 MiB of its last check for ever.
        let (tell, told) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name("password".to_owned())
            .spawn(move || {
                let is_right = is_right(hash.as_deref(), &password);
                // Held by the work, not by the request, which may have been given up.
                drop(turn);
                let _ = tell.send(is_right);
            })
            .context("a password could not be checked")?;
        let is_right = told.await.context("a password could not be checked")?;
        Ok(account.filter(|_| is_right).map(User::from))
    }

    async fn get_user(&self, id: &i64) -> Result<Option<User>, Error> {
        Ok(self.store.account_by_id(*id).await?.map(User::from))
    }
}

/// Slows down guessing: so many attempts per account and peer in a while.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<(String, IpAddr), Attempts>>);

#[derive(Debug)]
struct Attempts {
    since: Instant,
    count: u32,
}

impl Throttle {
    const ALLOWED: u32 = 10;
    const WHILE: Duration = Duration::from_mins(10);
    const CAPACITY: usize = 4096;

    /// Counts an attempt before it is made, so that many at once do not slip through; or says how long to wait.
    pub(super) fn attempt(&self, name: &str, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), peer);
        if !attempts.contains_key(&key) && attempts.len() >= Self::CAPACITY {
            attempts.retain(|_, entry| now.duration_since(entry.since) < Self::WHILE);
            let oldest = attempts
                .iter()
                .min_by_key(|(_, entry)| entry.since)
                .map(|(key, _)| key.clone());
            // Whoever fills the table with invented names only pushes out the oldest of them.
            if let Some(oldest) = oldest.filter(|_| attempts.len() >= Self::CAPACITY) {
                attempts.remove(&oldest);
            }
        }
        let entry = attempts.entry(key).or_insert(Attempts {
            since: now,
            count: 0,
        });
        let elapsed = now.duration_since(entry.since);
        if elapsed >= Self::WHILE {
            *entry = Attempts {
                since: now,
                count: 0,
            };
        } else if entry.count >= Self::ALLOWED {
            return Err(Self::WHILE.saturating_sub(elapsed));
        }
        entry.count += 1;
        Ok(())
    }

    /// Forgets the attempts of somebody who got in.
    pub(super) fn forgive(&self, name: &str, peer: IpAddr) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(name.to_owned(), peer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_only_its_own_hash() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert_ne!(hash, hash_password("correct horse").unwrap());
        assert!(is_right(Some(&hash), "correct horse"));
        assert!(!is_right(Some(&hash), "correct horse "));
        assert!(!is_right(Some("no hash at all"), ""));
        assert!(!is_right(None, "nobody"));
    }

    #[test]
    fn guessing_is_slowed_down_per_account_and_peer() {
        let throttle = Throttle::default();
        let (here, there) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let start = crate::clock::Clock::default().monotonic();
        for _ in 0..Throttle::ALLOWED {
            throttle.attempt("ada", here, start).unwrap();
        }
        assert!(throttle.attempt("ada", here, start).is_err());
        throttle.attempt("ada", there, start).unwrap();
        throttle.attempt("bob", here, start).unwrap();
        throttle
            .attempt("ada", here, start + Throttle::WHILE)
            .unwrap();
        throttle.forgive("ada", here);
        throttle.attempt("ada", here, start).unwrap();
    }

    #[test]
    fn invented_names_do_not_fill_the_memory() {
        let throttle = Throttle::default();
        let peer = "10.0.0.1".parse().unwrap();
        let start = crate::clock::Clock::default().monotonic();
        for name in 0..Throttle::CAPACITY + 10 {
            throttle.attempt(&name.to_string(), peer, start).unwrap();
        }
        assert_eq!(throttle.0.lock().unwrap().len(), Throttle::CAPACITY);
    }
}
