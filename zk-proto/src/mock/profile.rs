//! Kinds of terminals.

use std::{fmt, str::FromStr};

use thiserror::Error;

use super::{Builder, Fault, Serve};
use crate::{Code, record::Layout};

/// A kind of terminal, as the field knows them. What a profile sets can be changed afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// Black-and-white firmware: UDP only, users of 28 and records of 16 bytes, direct reads only.
    Bw,
    /// Black-and-white firmware with records of 8 bytes and the time last (MA300, X628).
    BwCompact,
    /// Colour screen: users of 72 and records of 40 bytes. The default.
    Tft,
    /// Visible-light face terminal: records of 49 bytes, 112 bytes of counters, large packets.
    Vl,
    /// AK3750 platform: records of 22 bytes behind a header of 12, no counters, slots of templates
    /// between the users.
    Ak3750,
    /// `NGTeco`: users of 120 bytes.
    NgTeco,
    /// Secured firmware: refuses every classic client.
    Secured,
    /// An access panel, which speaks another protocol on the same port.
    Panel,
}

impl Profile {
    /// Every profile.
    pub const ALL: &[Self] = &[
        Self::Bw,
        Self::BwCompact,
        Self::Tft,
        Self::Vl,
        Self::Ak3750,
        Self::NgTeco,
        Self::Secured,
        Self::Panel,
    ];

    /// A stable word, such as `bw-compact`, which `FromStr` reads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bw => "bw",
            Self::BwCompact => "bw-compact",
            Self::Tft => "tft",
            Self::Vl => "vl",
            Self::Ak3750 => "ak3750",
            Self::NgTeco => "ngteco",
            Self::Secured => "secured",
            Self::Panel => "panel",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no profile of this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "there is no profile {0:?}; there are bw, bw-compact, tft, vl, ak3750, ngteco, secured and panel"
)]
pub struct UnknownProfile(String);

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        let mut all = Self::ALL.iter().copied();
        all.find(|profile| profile.name() == text)
            .ok_or_else(|| UnknownProfile(text.to_owned()))
    }
}

impl Builder {
    /// Makes it a terminal of this kind.
    pub fn profile(self, profile: Profile) -> Self {
        match profile {
            Profile::Bw => self
                .old()
                .attendance_layout(Layout::Bytes16)
                .platform("ZEM100"),
            Profile::BwCompact => self
                .old()
                .attendance_layout(Layout::Bytes8TimeLast)
                .platform("ZEM560"),
            Profile::Tft => self,
            Profile::Vl => self
                .platform("ZAM170-NF50VA")
                .firmware("ZAM170-NF50VA-Ver1.2.8")
                .attendance_layout(Layout::Bytes49)
                .sizes_width(112)
                .max_packet(0x1_0000),
            Profile::Ak3750 => self
                .platform("AK3750WIFI_TFT")
                .attendance_layout(Layout::Bytes22)
                .wide_header(true)
                .template_slots(true)
                .sizes_width(4)
                .max_packet(0x9fb0),
            Profile::NgTeco => self.name("NG-TC3").user_width(120),
            Profile::Secured => self
                .platform("ZAM70-NF28VA")
                .fault(Fault::reject(Code::CONNECT, Code::SECURED)),
            Profile::Panel => self.fault(Fault::panel()),
        }
    }

    fn old(self) -> Self {
        self.serve(Serve::Udp)
            .firmware("Ver 5.04 Jan 27 2010")
            .user_width(28)
            .sizes_width(80)
            .max_packet(1024)
            .fault(Fault::reject(Code::PREPARE_BUFFER, Code::ACK_UNKNOWN))
    }
}
