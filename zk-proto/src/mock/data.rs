//! Made-up content, the same for the same seed.

use chrono::{NaiveDate, TimeDelta};

use crate::{
    record::{Attendance, Privilege, PunchState, User, VerifyMode},
    wire::PackedTime,
};

/// Users and records made from a seed. Records are in ascending order of time, from 2024-01-01 on,
/// about one a minute, none at the same second as another.
pub fn generate(seed: u64, users: u16, records: usize) -> (Vec<User>, Vec<Attendance>) {
    let mut dice = Dice(seed);
    let people: Vec<User> = (1..=users).map(|uid| person(uid, &mut dice)).collect();
    let mut time = NaiveDate::from_ymd_opt(2024, 1, 1)
        .unwrap_or_default()
        .and_time(chrono::NaiveTime::MIN + TimeDelta::hours(8));
    let mut log = Vec::with_capacity(records);
    for _ in 0..records {
        // At most 90 seconds apart: a million records end before 2028.
        time += TimeDelta::seconds(i64::from(dice.below(90)) + 1);
        let Some(user) = people.get(dice.below(u32::from(users).max(1)) as usize) else {
            break;
        };
        let Ok(packed) = PackedTime::from_civil(time) else {
            break;
        };
        log.push(Attendance {
            uid: user.uid,
            user_id: user.user_id,
            verify_mode: if dice.below(4) == 0 {
                VerifyMode::FACE
            } else {
                VerifyMode::FINGERPRINT
            },
            punch_state: PunchState(u8::from(dice.below(2) == 1)),
            time: packed,
            work_code: 0,
        });
    }
    (people, log)
}

fn person(uid: u16, dice: &mut Dice) -> User {
    const FIRST: [&str; 12] = [
        "Ana", "Boris", "Carmen", "Dmitri", "Eva", "Farid", "Grace", "Hugo", "Ines", "José",
        "Kira", "Luan",
    ];
    const LAST: [&str; 10] = [
        "Alves", "Brown", "Costa", "Duran", "Evans", "Faria", "Gomez", "Haddad", "Ito", "Jansen",
    ];
    let first = FIRST.get(dice.below(12) as usize).unwrap_or(&"Ana");
    let last = LAST.get(dice.below(10) as usize).unwrap_or(&"Alves");
    User {
        uid,
        user_id: (1000 + u32::from(uid)).to_string().as_str().into(),
        name: format!("{first} {last}").as_str().into(),
        privilege: if uid == 1 {
            Privilege::ADMIN
        } else {
            Privilege::USER
        },
        card: if dice.below(3) == 0 {
            1 + dice.below(10_000_000)
        } else {
            0
        },
        group: 1,
    }
}

/// A small generator of the "splitmix" kind: a counter, well stirred.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The remainder is below a u32.
        u32::try_from(mixed % u64::from(limit.max(1))).unwrap_or(0)
    }
}
