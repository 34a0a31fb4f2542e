//! Text in fixed-width fields, in whatever encoding the firmware uses.

use std::{borrow::Cow, fmt, str::FromStr};

use encoding_rs as rs;
use thiserror::Error;

/// The part of a field before its first NUL. A full field has none, and what follows a NUL is
/// junk, not zeros.
#[inline]
pub fn cut_at_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or(field)
}

/// Text as the terminal stores it, kept inline: at most `N` bytes, no NUL, encoding unknown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

/// A user id ("PIN"): up to 24 bytes, nearly always ASCII digits.
pub type UserId = Text<24>;

/// A user's name: up to 48 bytes in the terminal's encoding.
pub type Name = Text<48>;

impl<const N: usize> Text<N> {
    /// The text of a field: cut at the first NUL, and at `N` bytes.
    pub fn from_field(field: &[u8]) -> Self {
        let mut bytes = [0; N];
        let mut length = 0;
        for (to, from) in bytes.iter_mut().zip(field) {
            if *from == 0 {
                break;
            }
            *to = *from;
            length += 1;
        }
        Self { bytes, length }
    }

    /// The bytes as they came.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The text in the given encoding; bytes without meaning become U+FFFD.
    pub fn decode(&self, encoding: Encoding) -> Cow<'_, str> {
        encoding.decode(self.as_bytes())
    }
}

impl UserId {
    /// The text of an id that firmware keeps as a number; empty for 0, which is no id.
    pub fn from_number(number: u32) -> Self {
        if number == 0 {
            return Self::default();
        }
        let mut digits = [0; 10];
        let mut rest = number;
        let mut start = digits.len();
        for digit in digits.iter_mut().rev() {
            if rest == 0 {
                break;
            }
            // The remainder is one digit.
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            start -= 1;
        }
        Self::from_field(digits.get(start..).unwrap_or(&[]))
    }

    /// The number, for firmware that keeps ids as numbers. Nothing but digits without a leading
    /// zero is a number: `007` and `7` are two people.
    pub fn to_number(&self) -> Option<u32> {
        let text = std::str::from_utf8(self.as_bytes()).ok()?;
        let number = text.parse().ok()?;
        (Self::from_number(number) == *self).then_some(number)
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self {
            bytes: [0; N],
            length: 0,
        }
    }
}

/// Cut at a character boundary if it is longer than `N` bytes.
impl<const N: usize> From<&str> for Text<N> {
    fn from(text: &str) -> Self {
        let end = text.floor_char_boundary(N);
        Self::from_field(text.as_bytes().get(..end).unwrap_or(&[]))
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.decode(Encoding::Auto))
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.decode(Encoding::Auto), f)
    }
}

macro_rules! encodings {
    ($($(#[$doc:meta])* $variant:ident = $label:literal, $encoding:expr;)*) => {
        /// How a terminal writes names. It never says; the language of its menu is a good guess.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Encoding {
            /// UTF-8 where the bytes are valid UTF-8, else windows-1252.
            #[default]
            Auto,
            $($(#[$doc])* $variant,)*
        }

        impl Encoding {
            /// The name as `FromStr` reads it, such as `utf-8`.
            pub const fn name(self) -> &'static str {
                match self {
                    Self::Auto => "auto",
                    $(Self::$variant => $label,)*
                }
            }

            fn codec(self) -> Option<&'static rs::Encoding> {
                match self {
                    Self::Auto => None,
                    $(Self::$variant => Some($encoding),)*
                }
            }

            fn from_codec(codec: &'static rs::Encoding) -> Option<Self> {
                $(if codec == $encoding { return Some(Self::$variant); })*
                None
            }
        }
    };
}

encodings! {
    /// UTF-8, most colour-screen terminals.
    Utf8 = "utf-8", rs::UTF_8;
    /// Simplified Chinese.
    Gbk = "gbk", rs::GBK;
    /// Simplified Chinese, the larger set.
    Gb18030 = "gb18030", rs::GB18030;
    /// Traditional Chinese.
    Big5 = "big5", rs::BIG5;
    /// Japanese.
    ShiftJis = "shift_jis", rs::SHIFT_JIS;
    /// Korean.
    EucKr = "euc-kr", rs::EUC_KR;
    /// Thai.
    Windows874 = "windows-874", rs::WINDOWS_874;
    /// Central European.
    Windows1250 = "windows-1250", rs::WINDOWS_1250;
    /// Cyrillic.
    Windows1251 = "windows-1251", rs::WINDOWS_1251;
    /// Western European.
    Windows1252 = "windows-1252", rs::WINDOWS_1252;
    /// Greek.
    Windows1253 = "windows-1253", rs::WINDOWS_1253;
    /// Turkish.
    Windows1254 = "windows-1254", rs::WINDOWS_1254;
    /// Hebrew.
    Windows1255 = "windows-1255", rs::WINDOWS_1255;
    /// Arabic and Persian.
    Windows1256 = "windows-1256", rs::WINDOWS_1256;
    /// Baltic.
    Windows1257 = "windows-1257", rs::WINDOWS_1257;
    /// Vietnamese.
    Windows1258 = "windows-1258", rs::WINDOWS_1258;
}

impl Encoding {
    /// Decodes a text that was already cut at its NUL; bytes without meaning become U+FFFD.
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        match self.codec() {
            Some(codec) => codec.decode_without_bom_handling(bytes).0,
            None => match std::str::from_utf8(bytes) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
            },
        }
    }

    /// Encodes a text; `None` if it has characters that this encoding lacks. `Auto` writes UTF-8.
    pub fn encode(self, text: &str) -> Option<Cow<'_, [u8]>> {
        let (bytes, _, lossy) = self.codec().unwrap_or(rs::UTF_8).encode(text);
        (!lossy).then_some(bytes)
    }

    /// Settles `Auto` for a whole list: UTF-8 if every text is valid UTF-8, else windows-1252. Any
    /// other encoding stays.
    ///
    /// ```
    /// use zk_proto::wire::Encoding;
    ///
    /// assert_eq!(Encoding::Auto.settle([&b"Zo\xc3\xab"[..]]), Encoding::Utf8);
    /// assert_eq!(Encoding::Auto.settle([&b"Zo\xeb"[..]]), Encoding::Windows1252);
    /// ```
    #[must_use]
    pub fn settle<'a>(self, texts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        match self {
            Self::Auto
                if texts
                    .into_iter()
                    .all(|text| std::str::from_utf8(text).is_ok()) =>
            {
                Self::Utf8
            }
            Self::Auto => Self::Windows1252,
            other => other,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no encoding of this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown text encoding {0:?}; try auto, utf-8, gbk, windows-1252 or windows-1256")]
pub struct UnknownEncoding(String);

/// Reads `auto` and every label of the WHATWG Encoding Standard that names one of the variants.
impl FromStr for Encoding {
    type Err = UnknownEncoding;

    fn from_str(label: &str) -> Result<Self, UnknownEncoding> {
        if label.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        rs::Encoding::for_label(label.as_bytes())
            .and_then(Self::from_codec)
            .ok_or_else(|| UnknownEncoding(label.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junk_after_the_nul_is_no_text() {
        assert_eq!(
            UserId::from_field(b"444\0\xc6\x9a\x80\x7c").as_bytes(),
            b"444"
        );
        assert_eq!(cut_at_nul(b"full"), b"full");
        assert_eq!(Text::<4>::from_field(b"12345").as_bytes(), b"1234");
    }

    #[test]
    fn an_id_is_a_number_only_if_it_reads_the_same_again() {
        for number in [1, 9, 10, 4_822_257, u32::MAX] {
            let id = UserId::from_number(number);
            assert_eq!(id.to_string(), number.to_string());
            assert_eq!(id.to_number(), Some(number));
        }
        assert!(UserId::from_number(0).is_empty());
        for text in ["", "007", "+7", "7a", "4294967296", "0"] {
            assert_eq!(UserId::from(text).to_number(), None, "{text}");
        }
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(Text::<4>::from("abcé").as_bytes(), b"abc");
    }

    #[test]
    fn labels_round_trip() {
        for label in [
            "auto",
            "utf-8",
            "gbk",
            "big5",
            "windows-1256",
            "shift_jis",
            "euc-kr",
        ] {
            assert_eq!(label.parse::<Encoding>().unwrap().name(), label);
        }
        assert_eq!("cp1256".parse::<Encoding>(), Ok(Encoding::Windows1256));
        assert!("klingon".parse::<Encoding>().is_err());
    }

    #[test]
    fn old_firmware_text_decodes() {
        assert_eq!(Encoding::Gbk.decode(b"\xd5\xc5\xc8\xfd"), "张三");
        assert_eq!(Encoding::Auto.decode(b"Jos\xe9"), "José");
        assert_eq!(
            Encoding::Gbk.encode("张三").as_deref(),
            Some(&b"\xd5\xc5\xc8\xfd"[..])
        );
    }
}
