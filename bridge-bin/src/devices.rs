//! Reaching a terminal: its addresses, its key, its deadlines. One way in for every command and job.

use std::time::Duration;

use zk_proto::{Client, CommKey, Connect, Encoding, End, Recorder};

use crate::app::App;
use crate::cause;
use crate::failure::Failure;
use crate::store::entity::device;

/// The port terminals listen on.
pub const PORT: u16 = 4370;

/// How to reach a terminal.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `HOST` or `HOST:PORT`.
    pub address: String,
    /// Tried when the first does not answer.
    pub secondary: Option<String>,
    /// The comm key; none means 0.
    pub comm_key: Option<CommKey>,
    /// `auto`, `tcp` or `udp`.
    pub transport: String,
    /// `auto` or the name of an encoding.
    pub encoding: String,
    /// Longest wait for each answer.
    pub timeout: Duration,
    /// Lock the keypad during bulk reads.
    pub disable_while_reading: bool,
    /// When the lease ends under which the terminal is spoken to (P9); none without a lease.
    pub until: Option<End>,
}

/// A terminal that answered.
#[derive(Debug)]
pub struct Connected {
    /// The conversation.
    pub client: Client,
    /// The address that answered, with its port.
    pub address: String,
}

/// How to reach a stored device.
pub fn endpoint_of(app: &App, device: &device::Model) -> anyhow::Result<Endpoint> {
    let comm_key = match &device.comm_key {
        Some(sealed) => Some(comm_key(&app.secrets.open(sealed)?)?),
        None => None,
    };
    Ok(Endpoint {
        address: device.address.clone(),
        secondary: device.secondary_address.clone(),
        comm_key,
        transport: device.transport.clone(),
        encoding: device.encoding.clone(),
        timeout: Duration::from_secs(u64::from(app.config.polling.timeout_seconds)),
        disable_while_reading: app.config.polling.disable_while_reading,
        until: None,
    })
}

/// Connects, to the first address and then to the second.
pub async fn connect(endpoint: &Endpoint) -> anyhow::Result<Connected> {
    connect_heard(endpoint, None).await
}

/// Like [`connect`], while a recorder listens.
pub async fn connect_heard(
    endpoint: &Endpoint,
    recorder: Option<&Recorder>,
) -> anyhow::Result<Connected> {
    let mut options = match endpoint.transport.as_str() {
        "udp" => Connect::udp(),
        "tcp" => Connect::tcp(),
        _ => Connect::auto(),
    };
    options = options
        .timeout(endpoint.timeout)
        .encoding(encoding(&endpoint.encoding)?)
        .disable_while_reading(endpoint.disable_while_reading);
    if let Some(key) = endpoint.comm_key {
        options = options.comm_key(key);
    }
    if let Some(recorder) = recorder {
        options = options.record(recorder);
    }
    if let Some(end) = &endpoint.until {
        options = options.until(end);
    }
    let first = with_port(&endpoint.address)?;
    let error = match Client::connect(&first, options.clone()).await {
        Ok(client) => {
            return Ok(Connected {
                client,
                address: first,
            });
        }
        Err(error) => error,
    };
    // A terminal that answers and says no is the right one; only silence is worth a second address.
    let silent = matches!(
        error,
        zk_proto::Error::Timeout { .. } | zk_proto::Error::Io { .. }
    );
    if let Some(second) = endpoint.secondary.as_deref().filter(|_| silent) {
        let second = with_port(second)?;
        if let Ok(client) = Client::connect(&second, options).await {
            return Ok(Connected {
                client,
                address: second,
            });
        }
    }
    let mut failure = failure(&error);
    failure.message = format!("{first}: {}", failure.message);
    Err(failure.into())
}

/// A protocol error in the words of the CLI and the pages.
pub fn failure(error: &zk_proto::Error) -> Failure {
    let mut said = match error {
        zk_proto::Error::Io { during, source } if cause::is_lookup(source) => {
            format!("{during}: {}", cause::beneath(source))
        }
        _ => error.to_string(),
    };
    // The number that the operating system gives its errors says nothing to a person.
    if let Some(at) = said.find(" (os error ")
        && let Some(end) = said[at..].find(')')
    {
        said.replace_range(at..=at + end, "");
    }
    Failure::new(error.kind(), format!("{said}."), error.remedy())
}

/// Reads a comm key as people type it.
pub fn comm_key(text: &str) -> anyhow::Result<CommKey> {
    let key = text.trim().parse().map_err(|_| {
        Failure::new(
            "comm_key",
            "The comm key is not a number.",
            "Look it up on the terminal: Menu, Comm., Comm Key. It has at most six digits; 0 means none.",
        )
    })?;
    Ok(CommKey::new(key))
}

/// Looks an encoding up by its name.
pub fn encoding(name: &str) -> anyhow::Result<Encoding> {
    Ok(name.parse().map_err(|_| {
        Failure::new(
            "encoding",
            format!("There is no encoding {name:?}."),
            "Use auto, utf-8, gbk, windows-1252, windows-1256 or another name of the WHATWG list.",
        )
    })?)
}

/// `HOST:PORT`, with the usual port if none is given.
pub fn with_port(address: &str) -> anyhow::Result<String> {
    let bad = || {
        Failure::new(
            "address",
            format!("{address:?} is not an address of a terminal."),
            "Write HOST or HOST:PORT, such as 192.168.1.201 or gate.example:4370.",
        )
    };
    if address.is_empty()
        || address
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '/')
    {
        return Err(bad().into());
    }
    let bare_v6 = address.parse::<std::net::Ipv6Addr>().is_ok();
    match address.rsplit_once(':').filter(|_| !bare_v6) {
        None if bare_v6 => Ok(format!("[{address}]:{PORT}")),
        None => Ok(format!("{address}:{PORT}")),
        Some((host, port))
            if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) =>
        {
            Ok(address.to_owned())
        }
        Some(_) => Err(bad().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_without_the_number_of_the_operating_system() {
        let error = zk_proto::Error::Io {
            during: "connecting",
            source: std::io::Error::from_raw_os_error(111),
        };
        assert!(error.to_string().contains("os error"), "{error}");
        let failure = failure(&error);
        assert!(!failure.message.contains("os error"), "{failure:?}");
        assert!(failure.message.starts_with("connecting: ") && failure.message.ends_with('.'));
    }

    #[test]
    fn addresses_get_the_usual_port() {
        assert_eq!(with_port("192.168.1.201").unwrap(), "192.168.1.201:4370");
        assert_eq!(with_port("gate:4371").unwrap(), "gate:4371");
        assert_eq!(with_port("fe80::1").unwrap(), "[fe80::1]:4370");
        assert_eq!(with_port("[fe80::1]:99").unwrap(), "[fe80::1]:99");
        for bad in [
            "",
            "a b",
            "gate:",
            "gate:0",
            "gate:99999",
            ":4370",
            "http://gate",
        ] {
            assert!(with_port(bad).is_err(), "{bad}");
        }
    }
}
