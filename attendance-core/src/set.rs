//! Small sets of words: one byte each, read like a slice.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// A word that can be a member of a [`Set`]; the crate's own are [`Note`](crate::Note), [`Side`](crate::Side),
/// [`Flag`](crate::Flag) and [`OutlierReason`](crate::OutlierReason).
pub trait Member: Copy + Eq + fmt::Debug + 'static {
    /// Its place in the order, below 8.
    fn place(self) -> u8;

    /// The members of a set, in order; each bit is one place.
    fn list(bits: u8) -> &'static [Self];
}

/// A set of words, in their order. It reads like a slice, and takes no memory but its own byte.
///
/// ```
/// use attendance_core::{Set, Side};
///
/// let missing: Set<Side> = [Side::Out, Side::In, Side::Out].into_iter().collect();
/// assert_eq!(missing, [Side::In, Side::Out]);
/// assert!(missing.contains(&Side::In) && !missing.is_empty());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Set<T>(u8, PhantomData<T>);

impl<T: Member> Set<T> {
    /// The set of nothing.
    pub const EMPTY: Self = Self(0, PhantomData);

    pub(crate) fn insert(&mut self, member: T) {
        self.0 |= 1 << member.place();
    }

    pub(crate) fn remove(&mut self, member: T) {
        self.0 &= !(1 << member.place());
    }
}

impl<T: Member> Default for Set<T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<T: Member> Deref for Set<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        T::list(self.0)
    }
}

impl<T: Member> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        let mut set = Self::EMPTY;
        for member in members {
            set.insert(member);
        }
        set
    }
}

impl<T: Member> IntoIterator for &Set<T> {
    type Item = &'static T;
    type IntoIter = std::slice::Iter<'static, T>;

    fn into_iter(self) -> Self::IntoIter {
        T::list(self.0).iter()
    }
}

impl<T: Member, const N: usize> PartialEq<[T; N]> for Set<T> {
    fn eq(&self, other: &[T; N]) -> bool {
        **self == other[..]
    }
}

impl<T: Member> fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(feature = "serde")]
impl<T: Member + serde::Serialize> serde::Serialize for Set<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

#[cfg(feature = "serde")]
impl<'de, T: Member + serde::Deserialize<'de>> serde::Deserialize<'de> for Set<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(|members: Vec<T>| members.into_iter().collect())
    }
}

/// Makes words members of sets.
macro_rules! member {
    ($name:ident: $($variant:ident),*) => {
        impl crate::set::Member for $name {
            fn place(self) -> u8 {
                self as u8
            }

            fn list(bits: u8) -> &'static [Self] {
                const ALL: &[$name] = &[$($name::$variant),*];
                /// The members of every set, in order.
                static LISTS: [[$name; ALL.len()]; 1 << ALL.len()] = {
                    let mut lists = [[ALL[0]; ALL.len()]; 1 << ALL.len()];
                    let mut bits = 0;
                    while bits < lists.len() {
                        let (mut place, mut count) = (0, 0);
                        while place < ALL.len() {
                            if bits >> place & 1 == 1 {
                                lists[bits][count] = ALL[place];
                                count += 1;
                            }
                            place += 1;
                        }
                        bits += 1;
                    }
                    lists
                };
                &LISTS[usize::from(bits)][..bits.count_ones() as usize]
            }
        }
    };
}
pub(crate) use member;
