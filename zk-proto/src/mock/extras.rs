//! What a terminal holds beside users and punches: templates, operations, messages, access
//! settings, a door and a screen.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::{
    Code,
    record::{
        Combination, Face, Group, Message, Operation, Template, TemplateFlag, TimeZone, UserZones,
    },
    request::{
        BulkUpload, DeleteMessage, DeleteTemplateOf, Finger, PlayVoice, ReadUserZones,
        StoreTemplate, Unlock, WriteLcd, WriteMifare, WriteTemplate, WriteUserGroup,
        WriteUserZones, WriteVerifyRule, upload_hash,
    },
    wire::{Encoding, cut_at_nul},
};

use super::{device::Conversation, world::World};

/// What a terminal holds beside users and punches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Fingerprint templates, by internal number and finger.
    pub templates: BTreeMap<(u16, u8), Template>,
    /// Faces, of whomever.
    pub faces: Vec<Face>,
    /// Photos, by file name.
    pub photos: BTreeMap<String, Bytes>,
    /// The image of the finger that lies on the sensor.
    pub image: Bytes,
    /// What was written on the card that lies on the reader.
    pub card: Option<WriteMifare>,
    /// The operation log.
    pub operations: Vec<Operation>,
    /// Short messages, by number.
    pub messages: BTreeMap<u16, Message>,
    /// Who sees which personal message.
    pub links: Vec<(u16, u16)>,
    /// Access time zones.
    pub time_zones: BTreeMap<u32, TimeZone>,
    /// Access groups.
    pub groups: BTreeMap<u8, Group>,
    /// Unlock combinations.
    pub combinations: BTreeMap<u8, Combination>,
    /// Time zones of users, by internal number.
    pub user_zones: BTreeMap<u16, UserZones>,
    /// Verification rules of users, by internal number.
    pub rules: BTreeMap<u16, u8>,
    /// Whether the door's sensor says "open".
    pub door_open: bool,
    /// How the door was opened: the durations that were asked for.
    pub unlocked: Vec<u32>,
    /// What stands on the screen, by line.
    pub screen: BTreeMap<u16, String>,
    /// Prompts that were played.
    pub played: Vec<u32>,
}

impl Extras {
    fn clear_access(&mut self) {
        self.time_zones.clear();
        self.groups.clear();
        self.combinations.clear();
        self.user_zones.clear();
        self.rules.clear();
    }

    /// The faces of one user, one block behind the other; `None` if there are none.
    pub(super) fn faces_of(&self, uid: u16) -> Option<Bytes> {
        let of_user = self.faces.iter().filter(|face| face.uid == uid);
        let blocks: Vec<_> = of_user.map(|face| &face.block[..]).collect();
        (!blocks.is_empty()).then(|| blocks.concat().into())
    }

    /// A photo by the payload that asks for it.
    pub(super) fn photo(&self, payload: &[u8]) -> Option<Bytes> {
        let name = std::str::from_utf8(cut_at_nul(payload)).ok()?;
        self.photos.get(name).cloned()
    }
}

/// The answer to a command about one of these things; `None` if it is about none of them.
pub(super) fn answer(
    world: &mut World,
    client: &mut Conversation,
    code: Code,
    payload: &[u8],
) -> Option<Result<BytesMut, Code>> {
    let uid = payload
        .first_chunk()
        .map_or(0, |bytes| u16::from_le_bytes(*bytes));
    let first = payload.first().copied().unwrap_or(0);
    let mut out = BytesMut::new();
    let done = match code {
        Code::PREPARE_DATA => payload.first_chunk().map(|size| {
            client.upload = Some((u32::from_le_bytes(*size), BytesMut::new()));
        }),
        Code::DATA => client.upload.as_mut().and_then(|(size, buffer)| {
            let fits = buffer.len() + payload.len() <= *size as usize;
            fits.then(|| buffer.extend_from_slice(payload))
        }),
        Code::CHECKSUM_BUFFER => client.upload.as_ref().map(|(_, buffer)| {
            out.extend_from_slice(&upload_hash(buffer).to_le_bytes());
        }),
        Code::TMP_WRITE => store(world, client, payload),
        Code::USERTEMP_WRQ => {
            let template = WriteTemplate::parse(&Bytes::copy_from_slice(payload)).ok();
            template.map(|WriteTemplate(template)| {
                let slot = (template.uid, template.finger);
                world.extras.templates.insert(slot, template);
            })
        }
        Code::TEST_TEMP => {
            let mut templates = world.extras.templates.values();
            let uid = templates
                .find(|template| template.data == payload)
                .map(|template| template.uid);
            let mut users = world.users.iter();
            let user = users.find(|user| Some(user.uid) == uid);
            user.map(|user| out.extend_from_slice(user.user_id.as_bytes()))
        }
        Code::WRITE_MIFARE => {
            let written = WriteMifare::parse(&Bytes::copy_from_slice(payload));
            written.ok().map(|card| world.extras.card = Some(card))
        }
        Code::EMPTY_MIFARE => {
            world.extras.card = None;
            Some(())
        }
        Code::CLEAR_ACC => {
            world.extras.clear_access();
            Some(())
        }
        Code::SAVE_USERTEMPS => store_all(world, client),
        Code::DELETE_USERTEMP => Finger::parse(payload)
            .ok()
            .and_then(|slot| world.extras.templates.remove(&(slot.uid, slot.finger)))
            .map(drop),
        Code::DEL_FPTMP => DeleteTemplateOf::parse(payload)
            .ok()
            .and_then(|asked| {
                let mut users = world.users.iter();
                let user = users.find(|user| user.user_id == asked.user_id)?;
                world.extras.templates.remove(&(user.uid, asked.finger))
            })
            .map(drop),
        Code::CLEAR_OPLOG => {
            world.extras.operations.clear();
            Some(())
        }
        Code::CLEAR_ADMIN => {
            world.demote_all();
            Some(())
        }
        Code::UNLOCK => {
            world.extras.unlocked.push(Unlock::parse(payload).duration);
            Some(())
        }
        Code::DOORSTATE_RRQ => {
            out.extend_from_slice(&[world.extras.door_open.into()]);
            Some(())
        }
        Code::WRITE_LCD => WriteLcd::parse(payload).ok().map(|text| {
            let words = text.decode_text(Encoding::Auto);
            world.extras.screen.insert(text.line, words);
        }),
        Code::CLEAR_LCD => {
            world.extras.screen.clear();
            Some(())
        }
        Code::TESTVOICE => {
            world.extras.played.push(PlayVoice::parse(payload).index);
            Some(())
        }
        Code::SMS_WRQ => Message::parse(payload).ok().map(|message| {
            world.extras.messages.insert(message.id, message);
        }),
        Code::SMS_RRQ => match world.extras.messages.get(&uid) {
            Some(message) => {
                message.encode(true, &mut out);
                Some(())
            }
            None => return Some(Err(Code::ERR_4993)),
        },
        Code::DELETE_SMS => DeleteMessage::parse(payload)
            .ok()
            .and_then(|asked| world.extras.messages.remove(&asked.id))
            .map(drop),
        Code::UDATA_WRQ | Code::DELETE_UDATA => payload.get(2..).and_then(|rest| {
            let link = (uid, u16::from_le_bytes(*rest.first_chunk()?));
            world.extras.links.retain(|known| *known != link);
            if code == Code::UDATA_WRQ {
                world.extras.links.push(link);
            }
            Some(())
        }),
        Code::TZ_WRQ => TimeZone::parse(payload).ok().map(|zone| {
            world.extras.time_zones.insert(zone.index, zone);
        }),
        Code::TZ_RRQ => {
            let index = uid.into();
            let known = world.extras.time_zones.get(&index).copied();
            let zone = known.unwrap_or(TimeZone {
                index,
                ..TimeZone::default()
            });
            zone.encode_reply(&mut out);
            Some(())
        }
        Code::GRPTZ_WRQ => Group::parse(payload).ok().map(|group| {
            world.extras.groups.insert(group.number, group);
        }),
        Code::GRPTZ_RRQ => {
            let known = world.extras.groups.get(&first).copied();
            let group = known.unwrap_or(Group {
                number: first,
                ..Group::default()
            });
            group.encode(&mut out);
            Some(())
        }
        Code::ULG_WRQ => Combination::parse(payload).ok().map(|found| {
            world.extras.combinations.insert(found.number, found);
        }),
        Code::ULG_RRQ => {
            let known = world.extras.combinations.get(&first).copied();
            let found = known.unwrap_or(Combination {
                number: first,
                ..Combination::default()
            });
            found.encode(&mut out);
            Some(())
        }
        Code::USERGRP_WRQ => WriteUserGroup::parse(payload)
            .ok()
            .and_then(|asked| world.set_group(asked.uid, asked.group)),
        Code::USERGRP_RRQ => {
            let mut users = world.users.iter();
            let user = users.find(|user| user.uid == uid);
            user.map(|user| out.extend_from_slice(&[user.group]))
        }
        Code::USERTZ_WRQ => WriteUserZones::parse(payload).ok().map(|asked| {
            world.extras.user_zones.insert(asked.uid, asked.zones);
        }),
        Code::USERTZ_RRQ => {
            let known = world.extras.user_zones.get(&uid).copied();
            ReadUserZones::encode_reply(known.unwrap_or_default(), &mut out);
            Some(())
        }
        Code::VERIFY_WRQ => WriteVerifyRule::parse(payload).ok().map(|asked| {
            world.extras.rules.insert(asked.uid, asked.rule.0);
        }),
        Code::VERIFY_RRQ => {
            let rule = world.extras.rules.get(&uid).copied().unwrap_or(0);
            out.extend_from_slice(&uid.to_le_bytes());
            out.extend_from_slice(&[rule]);
            out.resize(24, 0);
            Some(())
        }
        _ => return None,
    };
    Some(done.map(|()| out).ok_or(Code::ACK_ERROR))
}

/// One template as command 88 sends it, with its flag at the end.
pub(super) fn template(world: &World, payload: &[u8], with_flag: bool) -> Option<Bytes> {
    let slot = Finger::parse(payload).ok()?;
    let template = world.extras.templates.get(&(slot.uid, slot.finger))?;
    let mut out = BytesMut::from(&template.data[..]);
    if with_flag {
        out.extend_from_slice(&[template.flag.0]);
    }
    Some(out.freeze())
}

fn store(world: &mut World, client: &mut Conversation, payload: &[u8]) -> Option<()> {
    let asked = StoreTemplate::parse(payload).ok()?;
    let (_, buffer) = client.upload.as_ref()?;
    let slot = (asked.slot.uid, asked.slot.finger);
    let known = world.users.iter().any(|user| user.uid == slot.0);
    let empty = !world.extras.templates.contains_key(&slot);
    let fits = buffer.len() == usize::from(asked.size);
    (known && empty && fits).then(|| {
        let template = Template {
            uid: slot.0,
            finger: slot.1,
            flag: asked.flag,
            data: buffer.clone().freeze(),
        };
        world.extras.templates.insert(slot, template);
    })
}

fn store_all(world: &mut World, client: &mut Conversation) -> Option<()> {
    let (_, buffer) = client.upload.take()?;
    let upload = BulkUpload::parse(&buffer.freeze()).ok()?;
    for record in upload.users {
        world.put_user(record);
    }
    for template in upload.templates {
        let flag = TemplateFlag::VALID;
        let slot = (template.uid, template.finger);
        world
            .extras
            .templates
            .insert(slot, Template { flag, ..template });
    }
    Some(())
}
