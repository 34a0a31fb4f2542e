//! Fingerprint and face templates. They are opaque, and no business of logs: `Debug` shows their
//! length.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::attendance::split;
use crate::DecodeError;

const WHAT: &str = "templates";
/// Bytes before the template of an entry.
const HEAD: usize = 6;

/// Whether a template may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TemplateFlag(pub u8);

impl TemplateFlag {
    /// Not to be used.
    pub const INVALID: Self = Self(0);
    /// The usual one.
    pub const VALID: Self = Self(1);
    /// Opens, and raises an alarm.
    pub const DURESS: Self = Self(3);
}

/// One fingerprint template. Its version is the option `~ZKFPVersion`; versions do not mix.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    /// Internal number of the user.
    pub uid: u16,
    /// Which finger, 0 to 9.
    pub finger: u8,
    /// Whether it may be used.
    pub flag: TemplateFlag,
    /// The template.
    pub data: Bytes,
}

impl Template {
    /// Reads a data set: a `u32` total and entries of a size that each entry tells.
    pub fn parse_all(data: &Bytes) -> Result<Vec<Self>, DecodeError> {
        let Some((announced, body)) = split(data)? else {
            return Ok(Vec::new());
        };
        let mut rest = body.slice(..announced.min(body.len()));
        let mut templates = Vec::new();
        while !rest.is_empty() {
            let Some((template, length)) = entry(&rest) else {
                break;
            };
            templates.push(template);
            rest.advance(length);
        }
        if !rest.is_empty() || announced > body.len() {
            return Err(DecodeError::Truncated {
                what: WHAT,
                announced,
                found: announced.min(body.len()) - rest.len(),
                data: data.clone(),
            });
        }
        Ok(templates)
    }

    /// Reads one entry as it stands in a data set.
    pub(crate) fn parse_entry(bytes: &Bytes) -> Result<Self, DecodeError> {
        match entry(bytes) {
            Some((template, _)) => Ok(template),
            None => Err(DecodeError::TooShort {
                what: "template",
                expected: bytes
                    .first_chunk()
                    .map_or(0, |size| usize::from(u16::from_le_bytes(*size)))
                    .max(HEAD + 1),
                found: bytes.len(),
            }),
        }
    }

    /// Appends one entry as it stands in a data set.
    pub(crate) fn encode_entry(&self, out: &mut BytesMut) {
        let size = HEAD + self.data.len();
        out.put_u16_le(u16::try_from(size).unwrap_or(u16::MAX));
        out.put_u16_le(self.uid);
        out.put_u8(self.finger);
        out.put_u8(self.flag.0);
        out.put_slice(&self.data);
    }

    /// Writes the data set a terminal would send.
    pub fn encode_all<'a>(templates: impl IntoIterator<Item = &'a Self>, out: &mut BytesMut) {
        let mut body = BytesMut::new();
        for template in templates {
            template.encode_entry(&mut body);
        }
        out.put_u32_le(u32::try_from(body.len()).unwrap_or(u32::MAX));
        out.put_slice(&body);
    }
}

/// The first entry, and its length in bytes.
fn entry(bytes: &Bytes) -> Option<(Template, usize)> {
    let [s0, s1, u0, u1, finger, flag] = *bytes.first_chunk()?;
    let size = usize::from(u16::from_le_bytes([s0, s1]));
    let holds = size > HEAD && size <= bytes.len();
    holds.then(|| {
        let template = Template {
            uid: u16::from_le_bytes([u0, u1]),
            finger,
            flag: TemplateFlag(flag),
            data: bytes.slice(HEAD..size),
        };
        (template, size)
    })
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("uid", &self.uid)
            .field("finger", &self.finger)
            .field("flag", &self.flag)
            .field("data_len", &self.data.len())
            .finish()
    }
}

/// One face template of an iFace terminal, a block of 2576 bytes. One source knows it; how to write
/// one is not known.
#[derive(Clone, PartialEq, Eq)]
pub struct Face {
    /// Internal number of the user.
    pub uid: u16,
    /// Number of the face, 256 less than it stands in the block.
    pub number: u16,
    /// Bytes of the block that count.
    pub length: u16,
    /// The whole block.
    pub block: Bytes,
}

impl Face {
    /// Bytes per block.
    pub const WIDTH: usize = 2576;

    /// Reads blocks that lie one after the other.
    pub fn parse_all(data: &Bytes) -> Result<Vec<Self>, DecodeError> {
        let count = data.len() / Self::WIDTH;
        if count * Self::WIDTH < data.len() {
            return Err(DecodeError::Truncated {
                what: "face templates",
                announced: data.len(),
                found: count * Self::WIDTH,
                data: data.clone(),
            });
        }
        let blocks =
            (0..count).map(|index| data.slice(index * Self::WIDTH..(index + 1) * Self::WIDTH));
        Ok(blocks.filter_map(|block| Self::parse(&block)).collect())
    }

    /// A block that holds these bytes behind its head of six; of more than 2570 the first are taken.
    pub fn new(uid: u16, number: u16, template: &[u8]) -> Self {
        let mut block = BytesMut::with_capacity(Self::WIDTH);
        let length = u16::try_from(template.len()).unwrap_or(u16::MAX);
        block.put_u16_le(length);
        block.put_u16_le(uid);
        block.put_u16_le(number.wrapping_add(256));
        block.put_slice(template);
        block.resize(Self::WIDTH, 0);
        let block = block.freeze();
        Self {
            uid,
            number,
            length,
            block,
        }
    }

    fn parse(block: &Bytes) -> Option<Self> {
        let [l0, l1, u0, u1, n0, n1] = *block.first_chunk()?;
        Some(Self {
            uid: u16::from_le_bytes([u0, u1]),
            number: u16::from_le_bytes([n0, n1]).wrapping_sub(256),
            length: u16::from_le_bytes([l0, l1]),
            block: block.clone(),
        })
    }
}

impl fmt::Debug for Face {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Face")
            .field("uid", &self.uid)
            .field("number", &self.number)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_ends_the_list_with_an_error_and_not_with_a_loop() {
        let template = Template {
            uid: 7,
            finger: 3,
            flag: TemplateFlag::VALID,
            data: Bytes::from_static(b"0123456789"),
        };
        let mut data = BytesMut::new();
        Template::encode_all([&template, &template], &mut data);
        assert_eq!(
            Template::parse_all(&data.clone().freeze()).unwrap(),
            [template.clone(), template]
        );
        for size in [0, 6, 200_u16] {
            let mut bad = data.clone();
            bad[20..22].copy_from_slice(&size.to_le_bytes());
            let error = Template::parse_all(&bad.freeze()).unwrap_err();
            assert!(
                matches!(
                    error,
                    DecodeError::Truncated {
                        announced: 32,
                        found: 16,
                        ..
                    }
                ),
                "{error:?}"
            );
        }
    }
}
