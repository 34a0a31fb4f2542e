//! Texts as small integers.

use std::collections::HashMap;

/// Texts, numbered in the order of being met.
///
/// Millions are asked for and few differ, so what was met lately is remembered in two tables: by where it is in memory,
/// since many punches share one text, and by a glance at its bytes. Only then the whole text is hashed.
#[derive(Debug)]
pub(crate) struct Numbers<'a> {
    known: HashMap<&'a str, u32>,
    by_place: Vec<(&'a str, u32)>,
    by_glance: Vec<(&'a str, u32)>,
}

/// Stands where a number would be.
pub(crate) const NONE: u32 = u32::MAX;

impl<'a> Numbers<'a> {
    /// For so many texts.
    pub(crate) fn new(count: usize) -> Self {
        let unknown = vec![("", NONE); count.next_power_of_two().clamp(16, 1 << 13)];
        Self {
            known: HashMap::new(),
            by_place: unknown.clone(),
            by_glance: unknown,
        }
    }

    /// The number of a text.
    #[inline]
    pub(crate) fn of(&mut self, text: &'a str) -> u32 {
        // The tables are as long as a power of two.
        let place = (text.as_ptr() as usize >> 4) & (self.by_place.len() - 1);
        let (known, number) = self.by_place[place];
        if std::ptr::eq(known, text) && number != NONE {
            return number;
        }
        let number = self.at_a_glance(text);
        self.by_place[place] = (text, number);
        number
    }

    fn at_a_glance(&mut self, text: &'a str) -> u32 {
        let glance = glance(text.as_bytes()) & (self.by_glance.len() - 1);
        let (known, number) = self.by_glance[glance];
        if known == text && number != NONE {
            return number;
        }
        let next = u32::try_from(self.known.len()).unwrap_or(NONE);
        let number = *self.known.entry(text).or_insert(next);
        self.by_glance[glance] = (text, number);
        number
    }
}

/// A number that differs for most texts: it follows from their length and ends.
fn glance(text: &[u8]) -> usize {
    let mixed = match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first).rotate_left(23) ^ u64::from_le_bytes(*last)
        }
        _ => text
            .iter()
            .fold(0, |mixed, &byte| mixed << 8 | u64::from(byte)),
    };
    let mixed = mixed.wrapping_add(text.len() as u64);
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize
}

/// The rank of each text among them all.
pub(crate) fn ranking<T: Ord>(texts: &[T]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..u32::try_from(texts.len()).unwrap_or(u32::MAX)).collect();
    order.sort_unstable_by(|&a, &b| texts[a as usize].cmp(&texts[b as usize]));
    let mut ranks = vec![0; texts.len()];
    for (rank, &index) in (0..).zip(&order) {
        ranks[index as usize] = rank;
    }
    ranks
}
