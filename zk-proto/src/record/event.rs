//! What a terminal tells without being asked.

use std::{fmt, ops::BitOr};

use bytes::{BufMut, Bytes, BytesMut};

use super::{PunchState, VerifyMode};
use crate::wire::{CivilFields, PackedTime, UserId};

/// Which kind of event; a bit of the mask that subscribes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventCode(pub u16);

impl EventCode {
    /// A punch.
    pub const ATTENDANCE: Self = Self(1);
    /// A finger on the sensor.
    pub const FINGER: Self = Self(2);
    /// A user was enrolled.
    pub const ENROLL_USER: Self = Self(4);
    /// A finger was enrolled.
    pub const ENROLL_FINGER: Self = Self(8);
    /// A key was pressed.
    pub const BUTTON: Self = Self(16);
    /// The door was opened.
    pub const UNLOCK: Self = Self(32);
    /// A verification.
    pub const VERIFY: Self = Self(128);
    /// Quality of a fingerprint.
    pub const FINGER_SCORE: Self = Self(256);
    /// An alarm.
    pub const ALARM: Self = Self(512);
}

/// Which events are wanted. Many terminals send only punches, whatever is asked for.
///
/// ```
/// use zk_proto::record::EventMask;
///
/// assert_eq!((EventMask::ATTENDANCE | EventMask::ALARM).0, 0x201);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventMask(pub u32);

impl EventMask {
    /// No events any more.
    pub const NONE: Self = Self(0);
    /// Punches.
    pub const ATTENDANCE: Self = Self(EventCode::ATTENDANCE.0 as u32);
    /// Everything about an enrolment.
    pub const ENROLLMENT: Self = Self(
        EventCode::FINGER.0 as u32
            | EventCode::ENROLL_USER.0 as u32
            | EventCode::ENROLL_FINGER.0 as u32
            | EventCode::FINGER_SCORE.0 as u32,
    );
    /// Verifications, failed ones included.
    pub const VERIFY: Self = Self(EventCode::VERIFY.0 as u32);
    /// Alarms.
    pub const ALARM: Self = Self(EventCode::ALARM.0 as u32);
    /// Everything.
    pub const ALL: Self = Self(0xffff);

    /// Whether events of this kind are wanted.
    pub const fn contains(self, code: EventCode) -> bool {
        self.0 & code.0 as u32 != 0
    }
}

impl BitOr for EventMask {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One event, as it came. Its layout depends on kind and length; [`decode`](Self::decode) knows
/// those that are documented.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// Which kind.
    pub code: EventCode,
    /// The rest, not interpreted.
    pub payload: Bytes,
}

/// Ids and scores of people are not for logs: only the length is shown.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("code", &self.code)
            .field("payload_len", &self.payload.len())
            .finish()
    }
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Told {
    /// Somebody punched; under load several punches come in one event.
    Punches(Vec<LivePunch>),
    /// A finger lies on the sensor.
    Finger,
    /// Quality of the fingerprint just taken, 0 (bad, repeat) or 100.
    FingerScore(u8),
    /// A user was enrolled.
    UserEnrolled {
        /// Internal number.
        uid: u16,
    },
    /// The enrolment of a finger has ended.
    FingerEnrolled(Enrolled),
    /// Somebody was verified, or was not.
    Verified {
        /// Internal number; `None` if nobody was recognised.
        uid: Option<u32>,
    },
    /// A key was pressed.
    Button {
        /// Number of the key.
        key: u32,
    },
    /// The door was opened.
    Unlocked,
    /// An alarm.
    Alarm(Alarm),
    /// Anything else. The event still has its bytes.
    Unknown,
}

/// Who punched, as far as the event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Puncher {
    /// The internal number; the list of users says whose it is.
    Uid(u16),
    /// The user id.
    UserId(UserId),
}

/// A punch that was told at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivePunch {
    /// Who.
    pub who: Puncher,
    /// How the person was verified.
    pub verify_mode: VerifyMode,
    /// What the person said the punch is.
    pub punch_state: PunchState,
    /// When, in the terminal's local time.
    pub time: PackedTime,
    /// What stands behind the time; meaning unknown.
    pub extra: Bytes,
}

/// How an enrolment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// 0 done, 4 failed, 5 the finger is known already, 6 cancelled or too late.
    pub result: u16,
    /// On success: bytes of the template.
    pub size: u16,
    /// On success: whose finger.
    pub user_id: UserId,
    /// On success: which finger, 0 to 9.
    pub finger: u8,
}

impl Enrolled {
    /// Whether the finger was enrolled.
    pub const fn is_ok(&self) -> bool {
        self.result == 0
    }
}

/// An alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alarm {
    /// The exit button was pressed.
    ExitButton,
    /// The terminal was opened or torn off.
    Tamper,
    /// Misoperation.
    Misoperation,
    /// The door: 1 left open, 4 not closed, 5 closed.
    Door(u8),
    /// Somebody was forced to open.
    Duress {
        /// Internal number of the user.
        uid: u16,
    },
    /// Somebody came in twice without leaving.
    AntiPassback {
        /// Internal number of the user.
        uid: u16,
    },
}

/// The shapes of a punch: how long who is, how long the whole record.
const PUNCHES: [(usize, usize); 7] = [
    (24, 32),
    (24, 36),
    (24, 37),
    (24, 52),
    (4, 12),
    (2, 10),
    (2, 14),
];
/// Shapes that come several at a time, in the order in which they are tried.
const REPEATED: [(usize, usize); 4] = [(24, 32), (24, 52), (4, 12), (2, 10)];

impl Event {
    /// What the event says, where that is documented.
    pub fn decode(&self) -> Told {
        let payload = &self.payload;
        match self.code {
            EventCode::ATTENDANCE => punches(payload).map_or(Told::Unknown, Told::Punches),
            EventCode::FINGER => Told::Finger,
            EventCode::FINGER_SCORE => payload
                .first()
                .map_or(Told::Unknown, |score| Told::FingerScore(*score)),
            EventCode::ENROLL_USER => {
                word(payload, 0).map_or(Told::Unknown, |uid| Told::UserEnrolled { uid })
            }
            EventCode::ENROLL_FINGER => {
                word(payload, 0).map_or(Told::Unknown, |result| enrolled(result, payload))
            }
            EventCode::VERIFY => long(payload, 0).map_or(Told::Unknown, |uid| Told::Verified {
                uid: (uid != u32::MAX).then_some(uid),
            }),
            EventCode::BUTTON => {
                let short = || payload.first().copied().map(u32::from);
                long(payload, 0)
                    .or_else(|| word(payload, 0).map(u32::from))
                    .or_else(short)
                    .map_or(Told::Unknown, |key| Told::Button { key })
            }
            EventCode::UNLOCK => Told::Unlocked,
            EventCode::ALARM => alarm(payload).map_or(Told::Unknown, Told::Alarm),
            _ => Told::Unknown,
        }
    }
}

impl LivePunch {
    /// Appends the record as a terminal tells it, in a shape of `width` bytes: 10, 12, 14, 32, 36,
    /// 37 or 52. Other widths append nothing.
    pub fn encode(&self, width: usize, out: &mut BytesMut) {
        let Some((who, _)) = PUNCHES.iter().find(|(_, length)| *length == width) else {
            return;
        };
        let start = out.len();
        match self.who {
            Puncher::UserId(id) if *who == 24 => out.put_slice(id.as_bytes()),
            Puncher::UserId(id) => {
                let number = id.to_number().unwrap_or(0).to_le_bytes();
                out.put_slice(number.get(..*who).unwrap_or(&number));
            }
            Puncher::Uid(uid) => out.put_u16_le(uid),
        }
        out.resize(start + who, 0);
        let time = self.time.fields();
        let year = u8::try_from(time.year.saturating_sub(2000)).unwrap_or(0);
        out.put_slice(&[self.verify_mode.0, self.punch_state.0, year]);
        out.put_slice(&[time.month, time.day, time.hour, time.minute, time.second]);
        out.put_slice(&self.extra);
        out.resize(start + width, 0);
    }
}

/// How long who is, and how long each punch, in an event of so many bytes.
pub(crate) fn shape_of_punches(size: usize) -> Option<(usize, usize)> {
    let mut single = PUNCHES.iter();
    let mut several = REPEATED.iter();
    single
        .find(|(_, width)| *width == size)
        .or_else(|| several.find(|(_, width)| size.is_multiple_of(*width)))
        .copied()
}

/// The record of a known length, or several of one.
fn punches(payload: &Bytes) -> Option<Vec<LivePunch>> {
    let size = payload.len();
    if let Some(shape) = PUNCHES.iter().find(|(_, width)| *width == size) {
        return punch(payload, *shape).map(|punch| vec![punch]);
    }
    REPEATED.iter().find_map(|shape| {
        let (_, width) = *shape;
        if size == 0 || !size.is_multiple_of(width) {
            return None;
        }
        let parts = (0..size / width).map(|index| index * width);
        parts
            .map(|start| punch(&payload.slice(start..start + width), *shape))
            .collect()
    })
}

fn punch(record: &Bytes, (who, width): (usize, usize)) -> Option<LivePunch> {
    let field = record.get(..who)?;
    let puncher = match who {
        2 => Puncher::Uid(word(record, 0)?),
        4 => Puncher::UserId(UserId::from_number(long(record, 0)?)),
        _ => Puncher::UserId(UserId::from_field(field)),
    };
    let [verify, punch, rest @ ..] = record.get(who..)? else {
        return None;
    };
    let time = time(*rest.first_chunk()?)?;
    Some(LivePunch {
        who: puncher,
        verify_mode: VerifyMode(*verify),
        punch_state: PunchState(*punch),
        time,
        extra: record.slice(who + 8..width),
    })
}

/// Six bytes, plain numbers, the year counted from 2000. Not necessarily a date.
fn time(bytes: [u8; 6]) -> Option<PackedTime> {
    let [year, month, day, hour, minute, second] = bytes;
    let fits = year < 100
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    fits.then(|| {
        PackedTime::from_fields(CivilFields {
            year: 2000 + u16::from(year),
            month,
            day,
            hour,
            minute,
            second,
        })
    })
}

fn enrolled(result: u16, payload: &[u8]) -> Told {
    Told::FingerEnrolled(Enrolled {
        result,
        size: word(payload, 2).unwrap_or(0),
        user_id: UserId::from_field(payload.get(4..13).unwrap_or(&[])),
        finger: payload.get(13).copied().unwrap_or(0),
    })
}

fn alarm(payload: &[u8]) -> Option<Alarm> {
    match (payload.len(), *payload.first()?) {
        (4, 0x35) => Some(Alarm::ExitButton),
        (4, 0x37) => Some(Alarm::Tamper),
        (4, 0x3a) => Some(Alarm::Misoperation),
        (8, 0x36) => Some(Alarm::Door(*payload.get(4)?)),
        (12, 0xff) => {
            // Two sources tell these two fields in opposite order; the value settles it.
            let (left, right) = (word(payload, 4)?, word(payload, 6)?);
            match (left, right) {
                (0x20, uid) | (uid, 0x20) => Some(Alarm::Duress { uid }),
                (0x22, uid) | (uid, 0x22) => Some(Alarm::AntiPassback { uid }),
                _ => None,
            }
        }
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(code: EventCode, payload: &[u8]) -> Event {
        Event {
            code,
            payload: Bytes::copy_from_slice(payload),
        }
    }

    fn one(user: u32) -> LivePunch {
        LivePunch {
            who: Puncher::UserId(UserId::from_number(user)),
            verify_mode: VerifyMode::FACE,
            punch_state: PunchState::OVERTIME_OUT,
            time: PackedTime(776_563_199),
            extra: Bytes::new(),
        }
    }

    #[test]
    fn q64_q65_punches_of_every_length_and_several_at_once_are_read() {
        for width in [10, 12, 14, 32, 36, 37, 52] {
            let mut payload = BytesMut::new();
            one(300).encode(width, &mut payload);
            assert_eq!(payload.len(), width);
            let Told::Punches(read) = event(EventCode::ATTENDANCE, &payload).decode() else {
                panic!("{width} bytes are not read");
            };
            let [read] = &read[..] else {
                panic!("{read:?}")
            };
            let expected = match width {
                10 | 14 => Puncher::Uid(300),
                _ => one(300).who,
            };
            assert_eq!((read.who, read.time), (expected, one(300).time), "{width}");
        }
        for (width, times) in [(12, 2), (32, 2), (32, 5), (52, 3), (10, 3)] {
            let mut payload = BytesMut::new();
            for user in 1..=times {
                one(user).encode(width, &mut payload);
            }
            let Told::Punches(read) = event(EventCode::ATTENDANCE, &payload).decode() else {
                panic!("{times} × {width} bytes are not read");
            };
            assert_eq!(read.len(), times as usize, "{width}");
        }
    }

    #[test]
    fn what_is_not_known_keeps_its_bytes() {
        for (code, payload) in [
            (1, &[1, 2, 3][..]),
            (1, &[0xff; 12]),
            (64, &[1]),
            (512, &[9; 5]),
            (256, &[]),
            (0x4000, &[]),
        ] {
            let event = event(EventCode(code), payload);
            assert_eq!(event.decode(), Told::Unknown, "{code}");
            assert_eq!(event.payload, payload);
        }
    }

    #[test]
    fn an_alarm_is_read_in_either_order_of_its_fields() {
        let alarm = |bytes: &[u8]| event(EventCode::ALARM, bytes).decode();
        let ff = [0xff; 4];
        let told =
            |left: u8, right: u8| alarm(&[&ff[..], &[left, 0, right, 0, 1, 0, 0, 0]].concat());
        assert_eq!(told(0x20, 9), Told::Alarm(Alarm::Duress { uid: 9 }));
        assert_eq!(told(9, 0x20), Told::Alarm(Alarm::Duress { uid: 9 }));
        assert_eq!(told(9, 0x22), Told::Alarm(Alarm::AntiPassback { uid: 9 }));
        assert_eq!(alarm(&[0x35, 0, 0, 0]), Told::Alarm(Alarm::ExitButton));
    }
}
