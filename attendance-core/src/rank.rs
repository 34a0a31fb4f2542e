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
        let glance = usize::try_from(glance(text)).unwrap_or(0) & (self.by_glance.len() - 1);
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

/// A number of 32 bits that differs for most texts.
pub(crate) fn glance(text: &str) -> u64 {
    let text = text.as_bytes();
    let mix =
        |mixed: u64, word: u64| (mixed.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (words, _) = text.as_chunks();
    let mixed = words.iter().fold(text.len() as u64, |mixed, word| {
        mix(mixed, u64::from_le_bytes(*word))
    });
    // The end once more, so that there is nothing left over.
    let mixed = match (text.last_chunk(), text.first_chunk(), text.last_chunk()) {
        (Some(last), ..) => mix(mixed, u64::from_le_bytes(*last)),
        (None, Some(first), Some(last)) => {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            mix(mixed, u64::from(first) << 32 | u64::from(last))
        }
        _ => text
            .iter()
            .fold(mixed, |mixed, &byte| mix(mixed, byte.into())),
    };
    mixed >> 32
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
