//! What went wrong, in the words of the person who has to mend it.

use std::error::Error;
use std::{fmt, io};

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

/// What lies beneath an error of a library, in plain words: why nobody could be reached, else what is said at the root.
pub(crate) fn beneath(error: &(dyn Error + 'static)) -> String {
    let mut root = error;
    loop {
        let io = root.downcast_ref::<io::Error>();
        if let Some(words) = io.and_then(|io| in_words(io.kind())) {
            return words.to_owned();
        }
        // An `io::Error` passes over what it wraps when asked for its source.
        let wrapped = io.and_then(io::Error::get_ref);
        let next = wrapped.map(|inner| inner as &(dyn Error + 'static));
        match next.or_else(|| root.source()) {
            Some(cause) => root = cause,
            None => break,
        }
    }
    let said = root.to_string();
    if said.contains("failed to lookup address") {
        return "there is no host of that name".to_owned();
    }
    said
}

fn in_words(kind: io::ErrorKind) -> Option<&'static str> {
    use io::ErrorKind as Kind;
    match kind {
        Kind::ConnectionRefused => Some("nothing listens there"),
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::UnexpectedEof => Some("the connection was closed"),
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => {
            Some("no way leads there in this network")
        }
        Kind::TimedOut => Some("no answer in time"),
        _ => None,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{Failure, beneath};

    #[test]
    fn what_lies_beneath_is_told_in_plain_words() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let wrapped =
            anyhow::Error::new(io::Error::other(refused())).context("error sending request");
        assert_eq!(beneath(wrapped.as_ref()), "nothing listens there");
        let named =
            io::Error::other("failed to lookup address information: Name or service not known");
        assert_eq!(beneath(&named), "there is no host of that name");
        let other = io::Error::other(io::Error::other("disk on fire"));
        assert_eq!(beneath(&other), "disk on fire");
    }

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
