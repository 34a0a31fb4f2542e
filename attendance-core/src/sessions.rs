//! The sessions of a record: nearly always one, which needs no memory of its own.

use std::fmt;
use std::ops::Deref;

use crate::Session;

/// The sessions of a record, in order. It reads like a slice.
#[derive(Clone)]
pub struct Sessions(Kept);

#[derive(Clone)]
enum Kept {
    One([Session; 1]),
    Any(Vec<Session>),
}

impl Default for Sessions {
    fn default() -> Self {
        Self(Kept::Any(Vec::new()))
    }
}

impl Deref for Sessions {
    type Target = [Session];

    fn deref(&self) -> &[Session] {
        match &self.0 {
            Kept::One(one) => one,
            Kept::Any(sessions) => sessions,
        }
    }
}

impl FromIterator<Session> for Sessions {
    fn from_iter<I: IntoIterator<Item = Session>>(sessions: I) -> Self {
        let mut sessions = sessions.into_iter();
        Self(match (sessions.next(), sessions.next()) {
            (None, _) => Kept::Any(Vec::new()),
            (Some(one), None) => Kept::One([one]),
            (Some(one), Some(two)) => Kept::Any([one, two].into_iter().chain(sessions).collect()),
        })
    }
}

impl<'a> IntoIterator for &'a Sessions {
    type Item = &'a Session;
    type IntoIter = std::slice::Iter<'a, Session>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Sessions {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Sessions {}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Sessions {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Sessions {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from_iter)
    }
}
