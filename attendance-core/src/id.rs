//! Identities: texts that are never mixed up with one another.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($text:ty)) => {
        $(#[$doc])*
        ///
        /// Cheap to clone, ordered by its bytes (R7).
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($text);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::from)
            }
        }
    };
}

id! {
    /// One punch; unique, and the same on every delivery (R14). Up to 23 bytes take no memory beside the value.
    PunchId(SmolStr)
}
id! {
    /// The id under which a device knows a person.
    UserId(Arc<str>)
}
id! {
    /// A terminal.
    DeviceId(Arc<str>)
}
id! {
    /// A person, after the identity map (R8).
    EmployeeId(Arc<str>)
}
id! {
    /// A shift template.
    ShiftId(Arc<str>)
}
id! {
    /// A correction made by a human.
    CorrectionId(Arc<str>)
}

impl From<UserId> for EmployeeId {
    /// Where nobody says who is who (R8), and for what is entered by hand.
    fn from(user: UserId) -> Self {
        Self(user.0)
    }
}

impl DeviceId {
    /// The name of the device that every plan knows: punches entered by hand.
    ///
    /// It keeps the site's zone, and the user id of its punches is the employee id.
    pub const MANUAL: &str = "manual";
}
