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

    /// Several failures told as one, so that nobody mends them one start at a time; none if there are none. The kind is
    /// that of the first.
    pub fn together(mut all: Vec<Self>) -> Option<Self> {
        if all.len() < 2 {
            return all.pop();
        }
        let each: Vec<String> = all
            .iter()
            .map(|failure| format!("\n- {} {}", failure.message, failure.remedy))
            .collect();
        Some(Self::new(
            all.first()?.kind,
            format!("{} faults were found:{}", all.len(), each.concat()),
            "Mend them all, then start again.",
        ))
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

#[cfg(test)]
mod tests {
    use super::Failure;

    #[test]
    fn several_failures_are_told_as_one() {
        let one = |name: &str| Failure::new("config", format!("{name} is 0."), "Choose another.");
        assert_eq!(Failure::together(Vec::new()), None);
        assert_eq!(Failure::together(vec![one("a")]), Some(one("a")));
        let both = Failure::together(vec![one("a"), one("b")]).unwrap();
        assert_eq!(
            (both.kind, both.message.as_str()),
            (
                "config",
                "2 faults were found:\n- a is 0. Choose another.\n- b is 0. Choose another."
            )
        );
    }
}
