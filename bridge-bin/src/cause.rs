//! What lies beneath the errors of libraries, in plain words.

use std::error::Error;
use std::io;

/// What lies beneath an error of a library, in plain words: why nobody could be reached, else what is said at the root.
pub(crate) fn beneath(error: &(dyn Error + 'static)) -> String {
    let mut root = error;
    loop {
        let io = root.downcast_ref::<io::Error>();
        // An `io::Error` passes over what it wraps when asked for its source. What that says is more than its kind.
        let wrapped = io.and_then(io::Error::get_ref);
        let kind = io.filter(|_| wrapped.is_none()).map(io::Error::kind);
        if let Some(words) = kind.and_then(in_words) {
            return words.to_owned();
        }
        let next = wrapped.map(|inner| inner as &(dyn Error + 'static));
        match next.or_else(|| root.source()) {
            Some(cause) => root = cause,
            None => break,
        }
    }
    if is_lookup(root) {
        "there is no host of that name".to_owned()
    } else {
        root.to_string()
    }
}

/// Whether it is about a name that no host has. The standard library has no kind for that.
pub(crate) fn is_lookup(error: &(dyn Error + 'static)) -> bool {
    error.to_string().contains("failed to lookup address")
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

#[cfg(test)]
mod tests {
    use std::io;

    use super::beneath;

    #[test]
    fn what_lies_beneath_is_told_in_plain_words() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let wrapped =
            anyhow::Error::new(io::Error::other(refused())).context("error sending request");
        assert_eq!(beneath(wrapped.as_ref()), "nothing listens there");
        let named =
            io::Error::other("failed to lookup address information: Name or service not known");
        assert_eq!(beneath(&named), "there is no host of that name");
        let silent = io::Error::new(io::ErrorKind::TimedOut, "it did not answer within 3 s");
        assert_eq!(beneath(&silent), "it did not answer within 3 s");
        let other = io::Error::other(io::Error::other("disk on fire"));
        assert_eq!(beneath(&other), "disk on fire");
    }
}
