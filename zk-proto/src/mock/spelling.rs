//! Faults as text: one spelling for the builder's users, for JSON lines and for command lines.

use std::{fmt::Write, str::FromStr, time::Duration};

use thiserror::Error;

use super::Fault;
use crate::{Code, UnknownCode};

/// A kind of fault as text spells it.
///
/// ```
/// use zk_proto::{Code, mock::Fault};
///
/// let fault: Fault = "drop_after,bytes=1000,times=2,on=READ_BUFFER".parse()?;
/// assert_eq!(fault, Fault::drop_after(1000).times(2).on(Code::READ_BUFFER));
/// # Ok::<(), zk_proto::mock::BadFault>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct FaultKind {
    /// Its name, that of the function of [`Fault`] which makes it.
    pub name: &'static str,
    /// The keys it needs.
    pub needs: &'static [&'static str],
    /// What happens.
    pub about: &'static str,
    /// Other names, where they are as usual.
    also: &'static [&'static str],
    /// It happens in answer to any command, so that `on` can choose one.
    anywhere: bool,
    make: fn(&Fields<'_>) -> Result<Fault, BadFault>,
}

/// A text that describes no fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadFault {
    /// There is no such kind.
    #[error("there is no fault {kind:?}; there are {}", names())]
    UnknownKind {
        /// The kind that was asked for.
        kind: String,
    },
    /// The kind has no such key.
    #[error("the fault {kind} has no {key:?}; it takes {valid}")]
    UnknownKey {
        /// The kind.
        kind: &'static str,
        /// The key that was given.
        key: String,
        /// The keys it takes.
        valid: String,
    },
    /// A key is missing.
    #[error("the fault {kind} needs {key:?}; it takes {valid}")]
    Missing {
        /// The kind.
        kind: &'static str,
        /// The key that is missing.
        key: &'static str,
        /// The keys it takes.
        valid: String,
    },
    /// A key was given twice.
    #[error("{key:?} is given twice")]
    Twice {
        /// The key.
        key: String,
    },
    /// A value is no number, or too large a one.
    #[error("{key}={value}: expected a number from 0 to {most}")]
    NoNumber {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// The largest number that is possible.
        most: u32,
    },
    /// A value is no command.
    #[error("{key}={value}: {source}")]
    NoCommand {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// Why.
        source: UnknownCode,
    },
    /// A part of the text is no pair.
    #[error("{part:?} is no KEY=VALUE")]
    NoPair {
        /// The part.
        part: String,
    },
}

/// Keys that every kind takes.
const ALWAYS: [&str; 2] = ["times", "after"];
/// The key of kinds that happen in answer to any command.
const ON: &str = "on";

macro_rules! kinds {
    ($($name:ident $(= $alias:literal)? [$($key:ident),*] $anywhere:literal $about:literal => $make:expr;)*) => {
        impl Fault {
            /// Every kind that text can spell, with its keys. Each also takes `times` and `after`,
            /// and those that happen anywhere take `on`: a command by number or name.
            pub const KINDS: &[FaultKind] = &[$(FaultKind {
                name: stringify!($name),
                needs: &[$(stringify!($key)),*],
                about: $about,
                also: &[$($alias)?],
                anywhere: $anywhere,
                make: $make,
            }),*];
        }
    };
}

kinds! {
    drop_after [bytes] true "the connection is closed after so many bytes (TCP)" =>
        |fields| fields.number("bytes").map(|bytes| Fault::drop_after(bytes.into()));
    reset [] true "the connection is reset instead of an answer (TCP)" => |_| Ok(Fault::reset());
    silence [] true "no answer" => |_| Ok(Fault::silence());
    delay [ms] true "the answer comes so many milliseconds late" =>
        |fields| fields.number("ms").map(|ms| Fault::delay(Duration::from_millis(ms.into())));
    split [] true "every byte of the answer in a write of its own (TCP)" => |_| Ok(Fault::split());
    coalesce [] true "all packets of the answer in one write (TCP)" => |_| Ok(Fault::coalesce());
    drop_reply [code] true "packets with this code are not sent" =>
        |fields| fields.code("code").map(Fault::drop_reply);
    duplicate_replies = "duplicate" [] true "every packet of the answer twice" =>
        |_| Ok(Fault::duplicate_replies());
    reorder [] true "neighbouring packets of the answer change places" => |_| Ok(Fault::reorder());
    wrong_number [] true "the answer has the number of no request" => |_| Ok(Fault::wrong_number());
    stale_reply [] true "before the answer comes one to the request before" =>
        |_| Ok(Fault::stale_reply());
    event_inside [] true "an event between the packets of the answer" => |_| Ok(Fault::event_inside());
    corrupt_checksum = "corrupt" [] true "the answer's checksums are wrong" =>
        |_| Ok(Fault::corrupt_checksum());
    stray_byte [] true "a byte nobody expects behind the payload" => |_| Ok(Fault::stray_byte());
    garbage [] true "the answer is bytes of no protocol" => |_| Ok(Fault::garbage());
    absurd_length [] true "the answer announces a frame of nearly 4 GiB" =>
        |_| Ok(Fault::absurd_length());
    early_acknowledgement [] true "a transfer is acknowledged before its data" =>
        |_| Ok(Fault::early_acknowledgement());
    no_announcement [] true "a chunk comes as one packet, without announcement" =>
        |_| Ok(Fault::no_announcement());
    grow [punches] true "somebody punches so many times just before the answer" =>
        |fields| fields.number("punches").map(Fault::grow_by);
    send_at_once [] false "a data set is sent at once instead of being prepared" =>
        |_| Ok(Fault::send_at_once());
    truncate_log [bytes] false "the last bytes of the log are missing, its total counts them" =>
        |fields| Ok(Fault::truncate_log(usize::try_from(fields.number("bytes")?).unwrap_or(usize::MAX)));
    refuse_slices [] false "slices that do not begin at 0 are refused" => |_| Ok(Fault::refuse_slices());
    ignore_offsets [] false "every slice is served from the beginning" => |_| Ok(Fault::ignore_offsets());
    wrong_counters [count] false "the counters say this number of users and records" =>
        |fields| fields.number("count").map(Fault::wrong_counters);
    full_ring [] false "the log is full, and the oldest record goes for each new one" =>
        |_| Ok(Fault::full_ring());
    garbage_options [] false "options are answered with bytes that are no text" =>
        |_| Ok(Fault::garbage_options());
    forget_deletes [] false "deleting a user is acknowledged and not done" =>
        |_| Ok(Fault::forget_deletes());
    reject [command, answer] false "a command is refused with this answer" =>
        |fields| Ok(Fault::reject(fields.code("command")?, fields.code("answer")?));
    secured [] false "CONNECT is refused as by secured firmware" => |_| Ok(Fault::secured());
    panel [] true "the answer is one of an access panel" => |_| Ok(Fault::panel());
}

impl Fault {
    /// A fault by its kind and keys. Hyphens in the name are as good as underscores.
    ///
    /// ```
    /// use zk_proto::mock::Fault;
    ///
    /// assert_eq!(Fault::from_parts("wrong_counters", [("count", "7")]), Ok(Fault::wrong_counters(7)));
    /// let error = Fault::from_parts("delay", [("seconds", "7")]).unwrap_err();
    /// assert_eq!(error.to_string(), r#"the fault delay has no "seconds"; it takes ms, on, times, after"#);
    /// ```
    pub fn from_parts<'a>(
        kind: &str,
        fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, BadFault> {
        let name = kind.trim().replace('-', "_");
        let kind = Self::KINDS
            .iter()
            .find(|known| known.name == name || known.also.contains(&name.as_str()))
            .ok_or_else(|| BadFault::UnknownKind {
                kind: kind.to_owned(),
            })?;
        let mut given = Fields {
            kind,
            pairs: Vec::new(),
        };
        for (key, value) in fields {
            let (key, value) = (key.trim(), value.trim());
            if !kind.keys().any(|known| known == key) {
                return Err(BadFault::UnknownKey {
                    kind: kind.name,
                    key: key.to_owned(),
                    valid: kind.list(),
                });
            }
            if given.get(key).is_some() {
                return Err(BadFault::Twice {
                    key: key.to_owned(),
                });
            }
            given.pairs.push((key, value));
        }
        let mut fault = (kind.make)(&given)?;
        if given.get(ON).is_some() {
            fault = fault.on(given.code(ON)?);
        }
        if given.get("times").is_some() {
            fault = fault.times(given.number("times")?);
        }
        if given.get("after").is_some() {
            fault = fault.after(given.number("after")?);
        }
        Ok(fault)
    }

    /// All kinds with their keys and what they do, a line each, for a help text.
    pub fn help() -> String {
        let mut text = String::new();
        for kind in Self::KINDS {
            let keys = kind.needs.iter().map(|key| format!("{key}=…"));
            let spelled: Vec<String> = std::iter::once(kind.name.to_owned()).chain(keys).collect();
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {:34} {}", spelled.join(","), kind.about);
        }
        let fixed: Vec<&str> = Self::KINDS
            .iter()
            .filter(|kind| !kind.anywhere)
            .map(|kind| kind.name)
            .collect();
        let _ = write!(
            text,
            "Each also takes times=N (so often, then never again) and after=N (not the first so many times), and all \
             but {} take on=COMMAND (only in answer to this command, such as READ_BUFFER or 1504).",
            fixed.join(", ")
        );
        text
    }
}

/// `KIND[,KEY=VALUE…]`.
impl FromStr for Fault {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Self, BadFault> {
        let mut parts = text.split(',');
        let kind = parts.next().unwrap_or_default();
        let pairs: Vec<(&str, &str)> = parts
            .map(|part| {
                part.split_once('=').ok_or_else(|| BadFault::NoPair {
                    part: part.to_owned(),
                })
            })
            .collect::<Result<_, _>>()?;
        Self::from_parts(kind, pairs)
    }
}

impl FaultKind {
    /// The keys it takes, those it needs first.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        let on = self.anywhere.then_some(ON);
        self.needs.iter().copied().chain(on).chain(ALWAYS)
    }

    fn list(&self) -> String {
        self.keys().collect::<Vec<_>>().join(", ")
    }
}

/// What a text gives.
struct Fields<'a> {
    kind: &'static FaultKind,
    pairs: Vec<(&'a str, &'a str)>,
}

impl Fields<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let mut pairs = self.pairs.iter();
        pairs
            .find(|(known, _)| *known == key)
            .map(|(_, value)| *value)
    }

    fn need(&self, key: &'static str) -> Result<&str, BadFault> {
        self.get(key).ok_or_else(|| BadFault::Missing {
            kind: self.kind.name,
            key,
            valid: self.kind.list(),
        })
    }

    fn number(&self, key: &'static str) -> Result<u32, BadFault> {
        let value = self.need(key)?;
        value.parse().map_err(|_| BadFault::NoNumber {
            key,
            value: value.to_owned(),
            most: u32::MAX,
        })
    }

    fn code(&self, key: &'static str) -> Result<Code, BadFault> {
        let value = self.need(key)?;
        value.parse().map_err(|source| BadFault::NoCommand {
            key,
            value: value.to_owned(),
            source,
        })
    }
}

fn names() -> String {
    Fault::KINDS
        .iter()
        .map(|kind| kind.name)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_can_be_spelled_with_what_it_needs() {
        for kind in Fault::KINDS {
            let pairs: Vec<_> = kind.keys().map(|key| (key, "7")).collect();
            let fault = Fault::from_parts(kind.name, pairs.clone()).unwrap();
            for alias in kind.also {
                assert_eq!(Fault::from_parts(alias, pairs.clone()), Ok(fault.clone()));
            }
            let bare = Fault::from_parts(kind.name, []);
            assert_eq!(bare.is_ok(), kind.needs.is_empty(), "{}", kind.name);
            assert!(Fault::help().contains(kind.name) && names().contains(kind.name));
        }
    }

    #[test]
    fn a_spelling_is_the_call_of_the_same_name() {
        for (text, fault) in [
            ("split", Fault::split()),
            ("early-acknowledgement", Fault::early_acknowledgement()),
            (
                "corrupt,on=READ_BUFFER",
                Fault::corrupt_checksum().on(Code::READ_BUFFER),
            ),
            (
                "delay,ms=20,times=1",
                Fault::delay(Duration::from_millis(20)).times(1),
            ),
            (
                "drop_reply, code=CMD_DATA, after=3",
                Fault::drop_reply(Code::DATA).after(3),
            ),
            (
                "reject,command=1503,answer=ACK_ERROR",
                Fault::reject(Code::PREPARE_BUFFER, Code::ACK_ERROR),
            ),
            (
                "grow,punches=3,on=1504",
                Fault::grow_by(3).on(Code::READ_BUFFER),
            ),
        ] {
            assert_eq!(text.parse(), Ok(fault), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        let say = |text: &str| text.parse::<Fault>().unwrap_err().to_string();
        assert!(
            say("dance").contains("drop_after, reset, silence"),
            "{}",
            say("dance")
        );
        assert_eq!(
            say("drop_after"),
            r#"the fault drop_after needs "bytes"; it takes bytes, on, times, after"#
        );
        assert_eq!(
            say("drop_after,bytes=x"),
            "bytes=x: expected a number from 0 to 4294967295"
        );
        assert_eq!(
            say("split,bytes=1"),
            r#"the fault split has no "bytes"; it takes on, times, after"#
        );
        // What happens in answer to one command only cannot be moved to another.
        assert_eq!(
            say("refuse_slices,on=50"),
            r#"the fault refuse_slices has no "on"; it takes times, after"#
        );
        assert_eq!(say("split,times=1,times=2"), r#""times" is given twice"#);
        assert_eq!(say("split,times"), r#""times" is no KEY=VALUE"#);
        assert!(say("split,on=DANCE").contains("READ_BUFFER"));
        assert!(say("split,on=70000").contains("neither"));
    }
}
