//! What concerns a whole target, named by what the operator can do about it.

use thiserror::Error;

/// Nothing can be delivered to this target until somebody acts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be one of a CRM.
    #[error("the address {address:?} cannot be used: {reason}")]
    BadAddress {
        /// Without user, password and query.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Plain HTTP to another machine.
    #[error(
        "the address {address} is plain http: records and token would cross the network readable by anyone"
    )]
    Insecure {
        /// Without user, password and query.
        address: String,
    },
    /// The token cannot be sent in a header.
    #[error("the token holds a character that no HTTP header can carry")]
    BadToken,
    /// An option is missing or makes no sense.
    #[error("the target's {option} cannot be used: {reason}")]
    BadOption {
        /// Its name.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A template cannot be read, or makes nothing useful of a sample.
    #[error("the template {part:?} cannot be used (line {line}): {reason}")]
    BadTemplate {
        /// `url`, `method`, `body`, `batch_body` or `headers.<name>`.
        part: String,
        /// Of the template, from 1; where what it makes is no JSON, of that.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// 401, 403 or 407.
    #[error("the target does not let us in (HTTP {status}){}", words.as_ref().map(|words| format!(": {words}")).unwrap_or_default())]
    Unauthorised {
        /// The HTTP status.
        status: u16,
        /// The target's words, cut, without secrets.
        words: Option<String>,
    },
    /// A redirect. It is not followed: the token is meant for the configured address alone.
    #[error("the target has moved (HTTP {status}){}", location.as_ref().map(|to| format!(" to {to}")).unwrap_or_default())]
    Moved {
        /// The HTTP status.
        status: u16,
        /// Where to, without user, password and query.
        location: Option<String>,
    },
    /// The server is there, but takes no records at this address.
    #[error("the server takes no records at this address (HTTP {status})")]
    NotHere {
        /// The HTTP status.
        status: u16,
    },
    /// HTML where an API would answer.
    #[error("the answer (HTTP {status}) is a web page, not an API")]
    WebPage {
        /// The HTTP status.
        status: u16,
    },
    /// No secure connection.
    #[error("no secure connection: {reason}")]
    Tls {
        /// What the TLS library says.
        reason: String,
    },
    /// A check found nobody, or a server in trouble. [`Crm::push`](crate::Crm::push) says `Retry` instead.
    #[error("the target cannot be reached: {reason}")]
    Unreachable {
        /// What happened.
        reason: String,
    },
}

impl Error {
    /// A short name for programs.
    ///
    /// ```
    /// assert_eq!(crm_client::Error::BadToken.kind(), "crm_bad_token");
    /// ```
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BadAddress { .. } => "crm_bad_address",
            Self::Insecure { .. } => "crm_insecure_address",
            Self::BadToken => "crm_bad_token",
            Self::BadOption { .. } => "crm_bad_option",
            Self::BadTemplate { .. } => "crm_bad_template",
            Self::Unauthorised { .. } => "crm_unauthorised",
            Self::Moved { .. } => "crm_moved",
            Self::NotHere { .. } => "crm_not_here",
            Self::WebPage { .. } => "crm_web_page",
            Self::Tls { .. } => "crm_tls",
            Self::Unreachable { .. } => "crm_unreachable",
        }
    }

    /// What to do next.
    ///
    /// ```
    /// let error = crm_client::Error::Unauthorised { status: 401, words: None };
    /// assert!(error.remedy().contains("token"));
    /// ```
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::BadAddress { .. } => {
                "Set the target's full address, like https://crm.example.com/api/attendance."
            }
            Self::Insecure { .. } => {
                "Use the https address. Plain http is only for a CRM on this very machine."
            }
            Self::BadToken => {
                "Set the token again: one line of plain ASCII, without quotes or spaces."
            }
            Self::BadOption { .. } => "Correct this option of the target.",
            Self::BadTemplate { .. } => {
                "Correct the template. It may use the fields of an entry, such as user_id, date and clock_in; values bring their own quotes."
            }
            Self::Unauthorised { status: 407, .. } => {
                "The proxy wants a login: check the proxy settings."
            }
            Self::Unauthorised { .. } => {
                "Check the token: it may be wrong, expired, or without the right to write attendance."
            }
            Self::Moved { .. } => {
                "Set the target's address to where it has moved, exactly (mind a final slash)."
            }
            Self::NotHere { .. } => {
                "Check the address: it must be the one that takes POSTed JSON records."
            }
            Self::WebPage { .. } => {
                "This is a web page, not an API: check the address. A login page or a proxy may be answering."
            }
            Self::Tls { .. } => {
                "Check this machine's clock and the address (https and port). For a private certificate authority, \
                 set its certificate as the target's authority, or pin the server's own."
            }
            Self::Unreachable { .. } => {
                "Check the network and the address, and that the target is up; then try again."
            }
        }
    }

    /// Whether waiting alone may help.
    ///
    /// ```
    /// assert!(crm_client::Error::Unreachable { reason: "connection refused".into() }.is_retryable());
    /// assert!(!crm_client::Error::BadToken.is_retryable());
    /// ```
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}
