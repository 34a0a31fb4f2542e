//! What went wrong, in the words of the person who has to mend it.

use std::fmt;

use sea_orm::DbErr;

/// A failure a user can do something about: what happened, and what to do next.
///
/// Travels inside [`anyhow::Error`]; the edge (CLI, REST) looks for it with [`Failure::of`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A stable word for programs, such as `config` or `terminal_unreachable`.
    pub kind: &'static str,
    /// What happened, one sentence.
    pub message: String,
    /// What to do next, one sentence.
    pub remedy: String,
}

impl Failure {
    /// A failure with its remedy.
    pub fn new(kind: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    /// The kind of whatever the database is to blame for.
    pub const DATABASE: &'static str = "database";

    /// The failure inside `error`, or one made of its text for errors nobody foresaw.
    pub fn of(error: &anyhow::Error) -> Self {
        error
            .chain()
            .find_map(|cause| cause.downcast_ref::<Self>())
            .cloned()
            .or_else(|| {
                let database = error
                    .chain()
                    .find_map(|cause| cause.downcast_ref::<DbErr>());
                database.map(crate::store::failure)
            })
            .unwrap_or_else(|| {
                Self::new(
                    "internal",
                    format!("{error:#}"),
                    "Run the command again with RUST_LOG=debug and report what it prints.",
                )
            })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
