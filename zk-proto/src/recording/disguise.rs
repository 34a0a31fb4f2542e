//! Other ids for ids, and fillers for everything else.

use std::collections::{HashMap, HashSet};

use crate::wire::{UserId, cut_at_nul};

/// Shorter texts occur by chance in data that has nothing to do with them.
const LEAST_NAME: usize = 3;
const LEAST_ID: usize = 4;
/// Other ids that are tried before one that somebody else had is good enough.
const ATTEMPTS: usize = 200;

/// Data that is being masked, and which bytes of it were understood.
#[derive(Debug)]
pub(super) struct Canvas {
    pub(super) bytes: Vec<u8>,
    done: Vec<bool>,
}

impl Canvas {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            done: vec![false; bytes.len()],
        }
    }

    /// Changes a field; one that lies outside is left alone.
    fn edit(&mut self, start: usize, end: usize, change: impl FnOnce(&mut [u8])) {
        if let (Some(field), Some(done)) = (
            self.bytes.get_mut(start..end),
            self.done.get_mut(start..end),
        ) {
            change(field);
            done.fill(true);
        }
    }

    /// Puts a filler in place of every byte that is not zero.
    pub(super) fn fill(&mut self, start: usize, end: usize) {
        self.edit(start, end.min(self.bytes.len()), |field| {
            fill(field);
        });
    }

    /// Like [`fill`](Self::fill), but blanks and punctuation stay.
    pub(super) fn fill_words(&mut self, start: usize, end: usize) {
        self.edit(start, end.min(self.bytes.len()), |field| {
            for byte in field {
                *byte = like(*byte);
            }
        });
    }

    /// Like [`fill`](Self::fill), but small numbers stay.
    pub(super) fn fill_text(&mut self, start: usize, end: usize) {
        self.edit(start, end, |field| {
            for byte in field.iter_mut().filter(|byte| **byte >= 0x20) {
                *byte = filler(*byte);
            }
        });
    }

    /// Fills the characters of a name, each with one of its kind and length.
    pub(super) fn name(&mut self, start: usize, end: usize) {
        self.edit(start, end, |field| {
            let length = cut_at_nul(field).len();
            let (name, junk) = field.split_at_mut(length);
            match std::str::from_utf8(name)
                .map(|text| text.chars().map(neutral).collect::<String>())
            {
                Ok(text) if text.len() == name.len() => name.copy_from_slice(text.as_bytes()),
                _ => fill(name),
            }
            fill(junk);
        });
    }

    /// A field that stays as it is.
    pub(super) fn keep(&mut self, start: usize, end: usize) {
        self.edit(start, end, |_| {});
    }

    /// Overwrites with zeros.
    pub(super) fn wipe(&mut self, start: usize, end: usize) {
        self.edit(start, end.min(self.bytes.len()), |field| field.fill(0));
    }
}

/// Which people there are, and who they become.
#[derive(Debug)]
pub(super) struct Disguise {
    /// The first round only looks.
    looking: bool,
    ids: Others,
    cards: Others,
    /// Some user record has no id but the internal number.
    uid_is_id: bool,
    /// Texts that must not be left anywhere, by their first bytes.
    secrets: HashMap<[u8; LEAST_NAME], Vec<Vec<u8>>>,
    known: HashSet<Vec<u8>>,
}

impl Disguise {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            looking: true,
            ids: Others::new(seed),
            cards: Others::new(!seed),
            uid_is_id: false,
            secrets: HashMap::new(),
            known: HashSet::new(),
        }
    }

    /// Ends the round that only looks.
    pub(super) fn decide(&mut self) {
        self.looking = false;
        self.ids.decide(self.uid_is_id);
        self.cards.decide(false);
        for id in &self.ids.own {
            if id.len() >= LEAST_ID && self.known.insert(id.clone()) {
                remember(&mut self.secrets, id);
            }
        }
    }

    pub(super) fn uid_is_id(&mut self) {
        self.uid_is_id = true;
    }

    /// A name: it, and every word of it, must not be found anywhere.
    pub(super) fn name(&mut self, canvas: &mut Canvas, start: usize, end: usize) {
        if self.looking {
            let field = canvas.bytes.get(start..end).unwrap_or(&[]);
            let name = cut_at_nul(field);
            for text in name.split(|byte| *byte == b' ').chain([name]) {
                self.secret(text);
            }
        }
        canvas.name(start, end);
    }

    /// A text that must not be found anywhere.
    pub(super) fn secret(&mut self, text: &[u8]) {
        if text.len() >= LEAST_NAME && self.looking && self.known.insert(text.to_vec()) {
            remember(&mut self.secrets, text);
        }
    }

    /// A user id in a text field; what stands behind its end is junk.
    pub(super) fn text_id(&mut self, canvas: &mut Canvas, start: usize, end: usize) {
        let field = canvas.bytes.get(start..end).unwrap_or(&[]);
        let id = cut_at_nul(field).to_vec();
        let other = self.other_id(&id);
        canvas.fill(start, end);
        canvas.edit(start, start + id.len(), |field| {
            field.copy_from_slice(&other);
        });
    }

    /// A user id that is kept as a number.
    pub(super) fn number_id(&mut self, canvas: &mut Canvas, start: usize) {
        let id = number_at(canvas, start).map(UserId::from_number);
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            return;
        };
        let other = self.other_id(id.as_bytes());
        put_number(canvas, start, &other);
    }

    /// An internal number, which is an id on some terminals.
    pub(super) fn uid(&mut self, canvas: &mut Canvas, start: usize) {
        let field = canvas.bytes.get(start..).and_then(<[u8]>::first_chunk);
        let uid = field.map_or(0, |field| u16::from_le_bytes(*field));
        if uid == 0 || !self.uid_is_id {
            return;
        }
        let id = UserId::from_number(uid.into());
        let other = number(&self.other_id(id.as_bytes()));
        if let Ok(other) = u16::try_from(other) {
            canvas.edit(start, start + 2, |field| {
                field.copy_from_slice(&other.to_le_bytes());
            });
        }
    }

    /// The number of a card.
    pub(super) fn card(&mut self, canvas: &mut Canvas, start: usize) {
        let card = number_at(canvas, start).map(UserId::from_number);
        let Some(card) = card.filter(|card| !card.is_empty()) else {
            return;
        };
        let other = self.cards.of(card.as_bytes(), self.looking, false);
        put_number(canvas, start, &other);
    }

    /// Fills what is left of names and ids where nobody looked for them.
    pub(super) fn scrub(&self, original: &[u8], canvas: &mut Canvas) {
        for (at, window) in original.windows(LEAST_NAME).enumerate() {
            let Some(texts) = window
                .first_chunk()
                .and_then(|first| self.secrets.get(first))
            else {
                continue;
            };
            let rest = original.get(at..).unwrap_or(&[]);
            for text in texts.iter().filter(|text| rest.starts_with(text)) {
                for index in at..at + text.len() {
                    if canvas.done.get(index) == Some(&false) {
                        canvas.edit(index, index + 1, |field| {
                            for byte in field {
                                *byte = another(*byte);
                            }
                        });
                    }
                }
            }
        }
    }

    fn other_id(&mut self, id: &[u8]) -> Vec<u8> {
        self.ids.of(id, self.looking, self.uid_is_id)
    }
}

fn remember(secrets: &mut HashMap<[u8; LEAST_NAME], Vec<Vec<u8>>>, text: &[u8]) {
    if let Some(first) = text.first_chunk() {
        secrets.entry(*first).or_default().push(text.to_vec());
    }
}

fn number_at(canvas: &Canvas, start: usize) -> Option<u32> {
    let field = canvas.bytes.get(start..)?.first_chunk()?;
    Some(u32::from_le_bytes(*field))
}

fn put_number(canvas: &mut Canvas, start: usize, digits: &[u8]) {
    let number = number(digits).to_le_bytes();
    canvas.edit(start, start + 4, |field| field.copy_from_slice(&number));
}

/// The number of at most ten digits that [`Others`] made of one.
fn number(digits: &[u8]) -> u32 {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

fn fill(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = filler(*byte);
    }
}

/// The same kind of byte, always the same one. Numbers may look like punctuation, so that has one
/// too.
const fn filler(byte: u8) -> u8 {
    match byte {
        0 | b' ' => byte,
        b'!'..=b'~' if byte.is_ascii_punctuation() => b'-',
        _ => like(byte),
    }
}

/// A filler that is not the byte itself.
const fn another(byte: u8) -> u8 {
    match filler(byte) {
        same if same == byte && byte != 0 => byte + 1,
        other => other,
    }
}

/// The same kind of byte in words.
const fn like(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' => b'A',
        b'a'..=b'z' => b'a',
        b'0'..=b'9' => b'0',
        0x01..=0x1f | 0x7f => 0x01,
        0x80.. => 0xe4,
        _ => byte,
    }
}

/// The same kind of character in as many bytes.
fn neutral(character: char) -> char {
    match character.len_utf8() {
        1 => u8::try_from(character).map_or('a', |byte| like(byte).into()),
        2 if character.is_uppercase() => 'Ä',
        2 => 'ä',
        3 => '中',
        _ => '😀',
    }
}

/// Other texts for texts: the same one always, of the same length and kinds of characters.
#[derive(Debug)]
struct Others {
    dice: u64,
    own: HashSet<Vec<u8>>,
    given: HashMap<Vec<u8>, Vec<u8>>,
    taken: HashSet<Vec<u8>>,
}

impl Others {
    fn new(seed: u64) -> Self {
        Self {
            dice: seed,
            own: HashSet::new(),
            given: HashMap::new(),
            taken: HashSet::new(),
        }
    }

    /// Gives everybody another one. `short`: numbers of five digits must fit into 16 bits.
    fn decide(&mut self, short: bool) {
        let mut own: Vec<Vec<u8>> = self.own.iter().cloned().collect();
        // The same for the same seed.
        own.sort_unstable();
        for text in own {
            let other = self.give(&text, short);
            if other != text {
                continue;
            }
            // Only the own one is left: change with somebody.
            let others = self.given.iter_mut();
            let others = others.filter(|(key, other)| **key != text && other.len() == text.len());
            if let Some((_, swapped)) = others.min_by(|(left, _), (right, _)| left.cmp(right)) {
                let swapped = std::mem::replace(swapped, other);
                self.given.insert(text, swapped);
            }
        }
    }

    fn of(&mut self, text: &[u8], looking: bool, short: bool) -> Vec<u8> {
        if looking {
            self.own.insert(text.to_vec());
            return text.to_vec();
        }
        match self.given.get(text) {
            Some(other) => other.clone(),
            None => self.give(text, short),
        }
    }

    fn give(&mut self, text: &[u8], short: bool) -> Vec<u8> {
        let other = self.find(text, short);
        self.taken.insert(other.clone());
        self.given.insert(text.to_vec(), other.clone());
        other
    }

    /// One that nobody has or was given; where there is none, one that nobody was given. Short ids
    /// of many people may leave only somebody's own.
    fn find(&mut self, text: &[u8], short: bool) -> Vec<u8> {
        let mut second_best = None;
        for _ in 0..ATTEMPTS {
            let other = self.roll(text, short);
            if other == text || self.taken.contains(&other) {
                continue;
            }
            if !self.holds_own(&other) {
                return other;
            }
            second_best.get_or_insert(other);
        }
        second_best.unwrap_or_else(|| {
            let free = |other: &Vec<u8>| other.len() == text.len() && !self.taken.contains(other);
            let is_number = text.len() <= 3 && text.iter().all(u8::is_ascii_digit);
            let numbers = (1..1000_u32).filter(|_| is_number);
            let mut numbers = numbers.map(|number| number.to_string().into_bytes());
            numbers.find(free).unwrap_or_else(|| text.to_vec())
        })
    }

    /// Whether it is somebody's own, or has one in it that is long enough to be told.
    fn holds_own(&self, other: &[u8]) -> bool {
        let mut lengths = LEAST_ID..=other.len();
        self.own.contains(other)
            || lengths.any(|length| other.windows(length).any(|part| self.own.contains(part)))
    }

    fn roll(&mut self, text: &[u8], short: bool) -> Vec<u8> {
        let is_number = text.iter().all(u8::is_ascii_digit);
        let zeros = text.iter().take_while(|byte| **byte == b'0').count();
        // Nothing but zeros is what is left of some other id.
        let zeros = if zeros == text.len() { 0 } else { zeros };
        // The largest numbers that fit into 32 and 16 bits begin with 4 and 6.
        let is_limited = is_number && zeros == 0 && (text.len() == 10 || short && text.len() == 5);
        let mut other = Vec::with_capacity(text.len());
        for (index, byte) in text.iter().enumerate() {
            other.push(match byte {
                b'0' if is_number && index < zeros => b'0',
                b'0'..=b'9' if is_limited && index == zeros => b'1',
                b'0'..=b'9' if is_number && index == zeros => b'1' + self.below(9),
                b'0'..=b'9' => b'0' + self.below(10),
                b'A'..=b'Z' => b'A' + self.below(26),
                b'a'..=b'z' => b'a' + self.below(26),
                0x80.. => 0xe4,
                other => *other,
            });
        }
        // Text of several bytes per character stays such text.
        match std::str::from_utf8(text) {
            Ok(text) if !text.is_ascii() => {
                let chars = text.chars().map(|character| match character.len_utf8() {
                    1 => neutral(character),
                    2 => char::from(0xc0 + self.below(0x17)),
                    3 => char::from_u32(0x4e00 + u32::from(self.below(0xff))).unwrap_or('中'),
                    _ => '😀',
                });
                chars.collect::<String>().into_bytes()
            }
            _ => other,
        }
    }

    /// A small generator of the "splitmix" kind.
    fn below(&mut self, limit: u8) -> u8 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The remainder is below a u8.
        u8::try_from(mixed % u64::from(limit.max(1))).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(ids: &[&str]) -> Vec<String> {
        let mut others = Others::new(7);
        for id in ids {
            others.of(id.as_bytes(), true, false);
        }
        others.decide(false);
        let give = |id: &&str| String::from_utf8(others.of(id.as_bytes(), false, false)).unwrap();
        ids.iter().map(give).collect()
    }

    #[test]
    fn an_id_becomes_one_that_nobody_has() {
        let ids: Vec<String> = (1001..=1200).map(|id| id.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let masked = others(&ids);
        let distinct: HashSet<&String> = masked.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert!(
            masked
                .iter()
                .all(|id| id.len() == 4 && !ids.contains(&&**id))
        );
    }

    #[test]
    fn kinds_of_characters_stay() {
        for (id, other) in [("A1b2-C3", "A0a0-A0"), ("007", "000"), ("Ж中9", "Ä中0")] {
            let masked = &others(&[id])[0];
            let kinds: String = masked.chars().map(neutral).collect();
            assert_eq!(kinds.to_uppercase(), other.to_uppercase(), "{masked}");
            assert_eq!(masked.len(), id.len());
        }
        let masked = &others(&["007"])[0];
        assert!(
            masked.starts_with("00") && masked != "007" && masked != "000",
            "{masked}"
        );
        assert!(others(&["4294967295"])[0].parse::<u32>().is_ok());
    }

    #[test]
    fn nine_people_with_one_digit_each_are_still_nine() {
        let ids = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
        let masked = others(&ids);
        assert!(
            ids.iter().zip(&masked).all(|(id, other)| id != other),
            "{masked:?}"
        );
        let masked: HashSet<String> = masked.into_iter().collect();
        assert_eq!(masked.len(), 9);
    }
}
