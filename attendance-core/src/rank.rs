//! Texts as small integers that compare like the texts.

use std::collections::HashMap;

/// Texts and their rank among all of them, by bytes.
pub(crate) struct Ranked<'a> {
    /// Each text once, by bytes.
    pub(crate) names: Vec<&'a str>,
    /// For each text given, in the order given.
    pub(crate) ranks: Vec<u32>,
}

/// So many texts are remembered by their place in memory.
const PLACES: usize = 4096;

impl<'a> Ranked<'a> {
    pub(crate) fn new(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut seen: HashMap<&str, u32> = HashMap::new();
        let mut names = Vec::new();
        let mut ranks = Vec::with_capacity(texts.size_hint().0);
        // Many punches share one text in memory; then a look at the place saves hashing the text.
        let mut places: Vec<(&str, u32)> = vec![("", u32::MAX); PLACES];
        for text in texts {
            let place = &mut places[(text.as_ptr() as usize / 16) % PLACES];
            if !(std::ptr::eq(place.0, text) && place.1 != u32::MAX) {
                let number = *seen.entry(text).or_insert_with(|| {
                    names.push(text);
                    u32::try_from(names.len() - 1).unwrap_or(u32::MAX)
                });
                *place = (text, number);
            }
            ranks.push(place.1);
        }
        let order = ranking(&names);
        for rank in &mut ranks {
            *rank = order[*rank as usize];
        }
        names.sort_unstable();
        Self { names, ranks }
    }
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
