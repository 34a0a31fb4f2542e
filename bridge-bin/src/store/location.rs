//! Where a database lies.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sea_orm::sqlx::postgres::PgConnectOptions;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::FILE;

/// The address of a `PostgreSQL` database, or nothing. It may hold a password, so it shows without one.
///
/// ```
/// use bridge_bin::store::DatabaseUrl;
///
/// let url: DatabaseUrl = "postgres://zk:geheim@db.example/attendance".parse()?;
/// assert_eq!(format!("{url} {url:?}").matches("geheim").count(), 0);
/// assert!("mysql://db.example/attendance".parse::<DatabaseUrl>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Default)]
pub struct DatabaseUrl(SecretString);

impl DatabaseUrl {
    /// Whether no database server is named.
    pub fn is_empty(&self) -> bool {
        self.0.expose_secret().is_empty()
    }

    /// The whole of it, for the connection and for nothing else.
    pub(super) fn options(&self) -> Result<PgConnectOptions, String> {
        // What the parser says may quote a part of the password.
        self.0
            .expose_secret()
            .parse()
            .map_err(|_| MALFORMED.to_owned())
    }
}

const MALFORMED: &str = "a database is written like \"postgres://USER:PASSWORD@HOST:5432/DATABASE\"; empty means \
                         SQLite in the data directory";

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let url = Self(text.to_owned().into());
        if !text.is_empty() {
            let ours = ["postgres://", "postgresql://"];
            if !ours.iter().any(|scheme| text.starts_with(scheme)) {
                return Err(MALFORMED.to_owned());
            }
            url.options()?;
        }
        Ok(url)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(options) = self.options() else {
            return Ok(());
        };
        let database = options
            .get_database()
            .unwrap_or_else(|| options.get_username());
        let host = options.get_socket().map_or_else(
            || format!("{}:{}", options.get_host(), options.get_port()),
            |socket| socket.display().to_string(),
        );
        write!(f, "{}@{host}/{database}", options.get_username())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Serialize for DatabaseUrl {
    // Only ever into the table that the environment is laid over, never into a log.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

/// Where a database lies. Shows without a password.
#[derive(Debug, Clone)]
pub enum Location {
    /// `SQLite`, in this data directory.
    Sqlite(PathBuf),
    /// `PostgreSQL`.
    Postgres(DatabaseUrl),
}

impl Location {
    /// The server if one is named, else the data directory.
    pub fn of(data_dir: &Path, url: &DatabaseUrl) -> Self {
        if url.is_empty() {
            Self::Sqlite(data_dir.to_owned())
        } else {
            Self::Postgres(url.clone())
        }
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for Location {
    fn from(data_dir: &P) -> Self {
        Self::Sqlite(data_dir.as_ref().to_owned())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(data_dir) => write!(f, "SQLite {}", data_dir.join(FILE).display()),
            Self::Postgres(url) => write!(f, "PostgreSQL {url}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_without_its_password() {
        for (text, shown) in [
            ("postgres://zk:pw@db.example/att", "zk@db.example:5432/att"),
            (
                "postgresql://zk:p%40w@10.0.0.5:6543/att?sslmode=require",
                "zk@10.0.0.5:6543/att",
            ),
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("DatabaseUrl({shown})"));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for text in [
            "postgres:/zk:secret@db/att",
            "postgres://zk:secret@db:port/att",
            "sqlite://secret.db",
            "secret",
        ] {
            let error = text.parse::<DatabaseUrl>().unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!("".parse::<DatabaseUrl>().unwrap().is_empty());
    }
}
