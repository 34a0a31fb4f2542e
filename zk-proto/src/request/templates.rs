//! Fingerprint and face templates: read, upload, delete.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Answer, DataSet, Exchange, Request, head};
use crate::{
    Code, DecodeError,
    record::{Face, Template, TemplateFlag, UserRecord},
    wire::UserId,
};

/// Stores what was uploaded by [`BulkUpload`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaveUploaded;

impl Request for SaveUploaded {
    type Reply = ();
    const CODE: Code = Code::SAVE_USERTEMPS;

    /// Three numbers that other clients send; their meaning is not known.
    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(12);
        out.put_u16_le(0);
        out.put_u16_le(8);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Reads all fingerprint templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadTemplates;

impl Request for ReadTemplates {
    type Reply = Vec<Template>;
    const CODE: Code = Code::PREPARE_BUFFER;
    const EXCHANGE: Exchange = Exchange::Bulk;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        DataSet::TEMPLATES.encode(out);
    }

    fn decode(&self, answer: Answer) -> Result<Vec<Template>, DecodeError> {
        Template::parse_all(&answer.payload)
    }
}

/// One finger of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Finger {
    /// Internal number of the user.
    pub uid: u16,
    /// Which finger, 0 to 9.
    pub finger: u8,
}

impl Finger {
    /// Reads the payload of a request at the terminal.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let [u0, u1, finger] = head("finger of a user", payload)?;
        Ok(Self {
            uid: u16::from_le_bytes([u0, u1]),
            finger,
        })
    }

    fn encode(self, out: &mut BytesMut) {
        out.put_u16_le(self.uid);
        out.put_u8(self.finger);
    }
}

/// Reads one template from a colour-screen terminal. A slot without one is refused (2001 or 4993).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadTemplate(pub Finger);

impl Request for ReadTemplate {
    type Reply = Template;
    const CODE: Code = Code::GET_USERTEMP;
    const EXCHANGE: Exchange = Exchange::Transfer;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }

    /// The last byte is the flag, and no part of the template.
    fn decode(&self, answer: Answer) -> Result<Template, DecodeError> {
        let Some((flag, data)) = answer.payload.split_last() else {
            return Err(DecodeError::TooShort {
                what: "template",
                expected: 2,
                found: 0,
            });
        };
        Ok(Template {
            uid: self.0.uid,
            finger: self.0.finger,
            flag: TemplateFlag(*flag),
            data: answer.payload.slice(..data.len()),
        })
    }
}

/// Reads one template by the older command, which gives it without a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadTemplateBare(pub Finger);

impl Request for ReadTemplateBare {
    type Reply = Bytes;
    const CODE: Code = Code::USERTEMP_RRQ;
    const EXCHANGE: Exchange = Exchange::Transfer;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }

    fn decode(&self, answer: Answer) -> Result<Bytes, DecodeError> {
        Ok(answer.payload)
    }
}

/// Writes one template in one packet, as old firmware takes it; colour-screen terminals want an upload
/// ([`PrepareUpload`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteTemplate(pub Template);

impl WriteTemplate {
    /// Reads the payload at the terminal.
    pub fn parse(payload: &Bytes) -> Result<Self, DecodeError> {
        Template::parse_entry(payload).map(Self)
    }
}

impl Request for WriteTemplate {
    type Reply = ();
    const CODE: Code = Code::USERTEMP_WRQ;

    fn encode(&self, out: &mut BytesMut) {
        self.0.encode_entry(out);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Asks whose finger a template is of, on old firmware. Somebody unknown is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentifyTemplate<'a>(pub &'a [u8]);

impl Request for IdentifyTemplate<'_> {
    type Reply = UserId;
    const CODE: Code = Code::TEST_TEMP;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(self.0);
    }

    fn decode(&self, answer: Answer) -> Result<UserId, DecodeError> {
        Ok(UserId::from_field(&answer.payload))
    }
}

/// Takes the image of the finger on the sensor, on old firmware. Untested on hardware: what comes is
/// handed out as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureFinger {
    /// Dots per inch, usually 500.
    pub resolution: u32,
    /// Width of the image in pixels.
    pub width: u32,
    /// Height of the image in pixels.
    pub height: u32,
}

impl CaptureFinger {
    /// Reads the payload at the terminal.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let bytes: [u8; 12] = head("CMD_CAPTUREFINGER", payload)?;
        let (words, _) = bytes.as_chunks();
        let word = |index: usize| words.get(index).copied().map_or(0, u32::from_le_bytes);
        Ok(Self {
            resolution: word(0),
            width: word(1),
            height: word(2),
        })
    }
}

impl Request for CaptureFinger {
    type Reply = Bytes;
    const CODE: Code = Code::CAPTUREFINGER;
    const EXCHANGE: Exchange = Exchange::Transfer;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.resolution);
        out.put_u32_le(self.width);
        out.put_u32_le(self.height);
    }

    fn decode(&self, answer: Answer) -> Result<Bytes, DecodeError> {
        Ok(answer.payload)
    }
}

/// Writes a user and up to four templates on the Mifare card that lies on the reader. Untested on
/// hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteMifare {
    /// The user id, a number.
    pub user_id: u32,
    /// Fingers and their templates; of more than four the first four are written.
    pub templates: Vec<(u8, Bytes)>,
}

impl WriteMifare {
    /// Templates on a card.
    pub const MOST: usize = 4;

    /// Reads the payload at the terminal.
    pub fn parse(payload: &Bytes) -> Result<Self, DecodeError> {
        const HEAD: usize = 4 + 3 * WriteMifare::MOST;
        let head: [u8; HEAD] = head("CMD_WRITE_MIFARE", payload)?;
        let [u0, u1, u2, u3, table @ ..] = head;
        let (rows, _) = table.as_chunks::<3>();
        let mut rest = payload.slice(HEAD..);
        let mut templates = Vec::new();
        for [l0, l1, finger] in rows {
            let size = usize::from(u16::from_le_bytes([*l0, *l1]));
            if size > rest.len() {
                return Err(DecodeError::TooShort {
                    what: "templates for a Mifare card",
                    expected: size,
                    found: rest.len(),
                });
            }
            let template = rest.split_to(size);
            if size > 0 {
                templates.push((*finger, template));
            }
        }
        Ok(Self {
            user_id: u32::from_le_bytes([u0, u1, u2, u3]),
            templates,
        })
    }
}

impl Request for WriteMifare {
    type Reply = ();
    const CODE: Code = Code::WRITE_MIFARE;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.user_id);
        for slot in 0..Self::MOST {
            let template = self.templates.get(slot);
            let (finger, size) = template.map_or((0, 0), |(finger, data)| (*finger, data.len()));
            out.put_u16_le(u16::try_from(size).unwrap_or(u16::MAX));
            out.put_u8(finger);
        }
        for (_, data) in self.templates.iter().take(Self::MOST) {
            out.put_slice(data);
        }
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Deletes one template by internal number. For finger 0, sources disagree whether this deletes
/// one template or all of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteTemplate(pub Finger);

impl Request for DeleteTemplate {
    type Reply = ();
    const CODE: Code = Code::DELETE_USERTEMP;

    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Deletes one template by user id, on colour-screen terminals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteTemplateOf {
    /// The id people type.
    pub user_id: UserId,
    /// Which finger, 0 to 9.
    pub finger: u8,
}

impl DeleteTemplateOf {
    /// Reads the payload at the terminal.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let field: [u8; 25] = head("CMD_DEL_FPTMP", payload)?;
        let [id @ .., finger] = field;
        Ok(Self {
            user_id: UserId::from_field(&id),
            finger,
        })
    }
}

impl Request for DeleteTemplateOf {
    type Reply = ();
    const CODE: Code = Code::DEL_FPTMP;

    fn encode(&self, out: &mut BytesMut) {
        put_id(self.user_id, out);
        out.put_u8(self.finger);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Opens the terminal's upload buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrepareUpload {
    /// Bytes that will come.
    pub size: u32,
}

impl PrepareUpload {
    /// Reads the payload at the terminal.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        head("CMD_PREPARE_DATA", payload).map(|bytes| Self {
            size: u32::from_le_bytes(bytes),
        })
    }
}

impl Request for PrepareUpload {
    type Reply = ();
    const CODE: Code = Code::PREPARE_DATA;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.size);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// A part of an upload, at most 1024 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadPart<'a>(pub &'a [u8]);

impl UploadPart<'_> {
    /// Most bytes in one part.
    pub const MOST: usize = 1024;
}

impl Request for UploadPart<'_> {
    type Reply = ();
    const CODE: Code = Code::DATA;

    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(self.0);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Asks for the hash of the upload buffer; compare it with [`upload_hash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadUploadHash;

impl Request for ReadUploadHash {
    type Reply = u32;
    const CODE: Code = Code::CHECKSUM_BUFFER;
    const REPEATABLE: bool = true;

    fn encode(&self, _: &mut BytesMut) {}

    fn decode(&self, answer: Answer) -> Result<u32, DecodeError> {
        head("hash of the upload", &answer.payload).map(u32::from_le_bytes)
    }
}

/// The hash a terminal makes of its upload buffer.
///
/// ```
/// use zk_proto::request::upload_hash;
///
/// assert_eq!(upload_hash(b"abc"), 0x6783);
/// ```
pub fn upload_hash(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 0x00fe_ffff;
    let mixed = bytes.iter().fold(0_i32, |hash, byte| {
        let next = (hash << 4).wrapping_add(i32::from(*byte));
        let high = next & 0xf000_0000_u32.cast_signed();
        if high == 0 {
            next
        } else {
            next ^ ((high >> 24) ^ high)
        }
    });
    mixed.cast_unsigned() % MODULUS
}

/// Stores the uploaded template in a slot. The user must exist and the slot be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreTemplate {
    /// Whose, and which finger.
    pub slot: Finger,
    /// Whether it may be used.
    pub flag: TemplateFlag,
    /// Bytes of the template.
    pub size: u16,
}

impl StoreTemplate {
    /// Reads the payload at the terminal.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let [u0, u1, finger, flag, s0, s1] = head("CMD_TMP_WRITE", payload)?;
        Ok(Self {
            slot: Finger {
                uid: u16::from_le_bytes([u0, u1]),
                finger,
            },
            flag: TemplateFlag(flag),
            size: u16::from_le_bytes([s0, s1]),
        })
    }
}

impl Request for StoreTemplate {
    type Reply = ();
    const CODE: Code = Code::TMP_WRITE;

    fn encode(&self, out: &mut BytesMut) {
        self.slot.encode(out);
        out.put_u8(self.flag.0);
        out.put_u16_le(self.size);
    }

    fn decode(&self, _: Answer) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Users and templates in one upload, stored by [`SaveUploaded`]. Colour-screen terminals take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkUpload {
    /// The users, in records of 72 or 28 bytes.
    pub users: Vec<UserRecord>,
    /// Their templates.
    pub templates: Vec<Template>,
}

/// Tag before every user and every row of the table.
const TAG: u8 = 2;
/// What is added to the number of a finger in the table.
const FINGER: u8 = 0x10;

impl BulkUpload {
    /// The buffer to upload.
    pub fn encode(&self) -> Bytes {
        let (mut people, mut table, mut data) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
        for record in &self.users {
            people.put_u8(TAG);
            people.put_slice(record.as_bytes());
        }
        for template in &self.templates {
            table.put_u8(TAG);
            table.put_u16_le(template.uid);
            table.put_u8(FINGER.wrapping_add(template.finger));
            table.put_u32_le(length(data.len()));
            data.put_u16_le(u16::try_from(template.data.len()).unwrap_or(u16::MAX));
            data.put_slice(&template.data);
        }
        let mut out = BytesMut::new();
        for part in [&people, &table, &data] {
            out.put_u32_le(length(part.len()));
        }
        for part in [people, table, data] {
            out.put_slice(&part);
        }
        out.freeze()
    }

    /// Reads the buffer at the terminal. The width of the user records follows from their share.
    pub fn parse(buffer: &Bytes) -> Result<Self, DecodeError> {
        let short = |expected: usize| DecodeError::TooShort {
            what: "upload of users and templates",
            expected,
            found: buffer.len(),
        };
        let sizes: [u8; 12] = head("upload of users and templates", buffer)?;
        let [people, table, data] = std::array::from_fn(|index| {
            let bytes = sizes.get(index * 4..).and_then(|rest| rest.first_chunk());
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
        });
        let part = |start: usize, size: usize| {
            let end = start.saturating_add(size);
            (end <= buffer.len())
                .then(|| buffer.slice(start..end))
                .ok_or_else(|| short(end))
        };
        let people = part(12, people)?;
        let table = part(12 + people.len(), table)?;
        let data = part(12 + people.len() + table.len(), data)?;
        let layout = super::users::layout_of_tagged(people.len()).ok_or(DecodeError::Invalid {
            what: "length of the users of an upload",
            found: length(people.len()),
        })?;
        let users = people
            .chunks_exact(layout.width() + 1)
            .map(|tagged| UserRecord::parse(tagged.get(1..).unwrap_or(&[]), layout))
            .collect::<Result<_, _>>()?;
        let rows = table
            .chunks_exact(8)
            .filter_map(|row| row.first_chunk().copied());
        let templates = rows
            .map(|[_tag, u0, u1, finger, offset @ ..]: [u8; 8]| {
                let at = u32::from_le_bytes(offset) as usize;
                let rest = data.get(at..).unwrap_or(&[]);
                let size: [u8; 2] = head("template of an upload", rest)?;
                let size = usize::from(u16::from_le_bytes(size));
                let end = at + 2 + size;
                let template = (end <= data.len()).then(|| data.slice(at + 2..end));
                Ok(Template {
                    uid: u16::from_le_bytes([u0, u1]),
                    finger: finger.wrapping_sub(FINGER),
                    flag: TemplateFlag::VALID,
                    data: template.ok_or_else(|| short(end))?,
                })
            })
            .collect::<Result<_, DecodeError>>()?;
        Ok(Self { users, templates })
    }
}

/// Reads the faces of one user from an iFace terminal. One source knows it; writing faces is not
/// known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadFaces {
    /// Internal number of the user.
    pub uid: u16,
    /// Which faces; 50 for all.
    pub selector: u8,
}

impl ReadFaces {
    /// Selects all faces.
    pub const ALL: u8 = 50;

    /// Reads the payload at the terminal.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let [u0, u1, selector] = head("CMD_FACE_RRQ", payload)?;
        Ok(Self {
            uid: u16::from_le_bytes([u0, u1]),
            selector,
        })
    }
}

impl Request for ReadFaces {
    type Reply = Vec<Face>;
    const CODE: Code = Code::FACE_RRQ;
    const EXCHANGE: Exchange = Exchange::Transfer;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u16_le(self.uid);
        out.put_u8(self.selector);
    }

    fn decode(&self, answer: Answer) -> Result<Vec<Face>, DecodeError> {
        Face::parse_all(&answer.payload)
    }
}

/// Reads a photo by its file name, such as `123.jpg`. One source knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPhoto<'a> {
    /// The file name.
    pub name: &'a str,
}

impl Request for ReadPhoto<'_> {
    type Reply = Bytes;
    const CODE: Code = Code::PHOTO_BY_NAME;
    const EXCHANGE: Exchange = Exchange::Transfer;
    const REPEATABLE: bool = true;

    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(self.name.as_bytes());
        out.put_u8(0);
    }

    fn decode(&self, answer: Answer) -> Result<Bytes, DecodeError> {
        Ok(answer.payload)
    }
}

/// A user id in a field of 24 bytes.
pub(super) fn put_id(id: UserId, out: &mut BytesMut) {
    let start = out.len();
    out.put_slice(id.as_bytes());
    out.resize(start + 24, 0);
}

/// Uploads are far below 4 GiB.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
