//! Who may come in when, and what people read on the screen.
//!
//! These settings are known from colour-screen terminals; others refuse them.

use super::Client;
use crate::{
    Code, Error, Misuse,
    record::{Combination, Group, Message, TimeZone, UserZones, VerifyRule},
    request::{
        ClearAccess, ClearAdmins, Confirmed, DeleteMessage, LinkMessage, ReadCombination,
        ReadGroup, ReadMessage, ReadTimeZone, ReadUserGroup, ReadUserZones, ReadVerifyRule,
        UnlinkMessage, WriteCombination, WriteGroup, WriteMessage, WriteTimeZone, WriteUserGroup,
        WriteUserZones, WriteVerifyRule,
    },
};

impl Client {
    /// An access time zone (a week), by its number from 1 to 50.
    pub async fn time_zone(&mut self, index: u32) -> Result<TimeZone, Error> {
        self.call(ReadTimeZone { index }).await
    }

    /// Writes an access time zone and makes it effective.
    pub async fn set_time_zone(&mut self, zone: TimeZone) -> Result<(), Error> {
        self.write(WriteTimeZone(zone)).await
    }

    /// An access group, by its number.
    pub async fn group(&mut self, number: u8) -> Result<Group, Error> {
        self.call(ReadGroup { number }).await
    }

    /// Writes an access group and makes it effective.
    pub async fn set_group(&mut self, group: Group) -> Result<(), Error> {
        self.write(WriteGroup(group)).await
    }

    /// An unlock combination, by its number from 1 to 10.
    pub async fn combination(&mut self, number: u8) -> Result<Combination, Error> {
        self.call(ReadCombination { number }).await
    }

    /// Writes an unlock combination and makes it effective.
    pub async fn set_combination(&mut self, combination: Combination) -> Result<(), Error> {
        self.write(WriteCombination(combination)).await
    }

    /// The access group of a user, by internal number.
    pub async fn user_group(&mut self, uid: u16) -> Result<u8, Error> {
        self.call(ReadUserGroup { uid }).await
    }

    /// Puts a user, by internal number, into an access group.
    pub async fn set_user_group(&mut self, uid: u16, group: u8) -> Result<(), Error> {
        self.write(WriteUserGroup { uid, group }).await
    }

    /// The access time zones of a user, by internal number.
    pub async fn user_zones(&mut self, uid: u16) -> Result<UserZones, Error> {
        self.call(ReadUserZones { uid }).await
    }

    /// Gives a user, by internal number, access time zones of their own or those of the group.
    pub async fn set_user_zones(&mut self, uid: u16, zones: UserZones) -> Result<(), Error> {
        self.write(WriteUserZones { uid, zones }).await
    }

    /// How a user, by internal number, must prove who they are.
    pub async fn verify_rule(&mut self, uid: u16) -> Result<VerifyRule, Error> {
        self.call(ReadVerifyRule { uid }).await
    }

    /// Sets how a user, by internal number, must prove who they are.
    pub async fn set_verify_rule(&mut self, uid: u16, rule: VerifyRule) -> Result<(), Error> {
        self.write(WriteVerifyRule { uid, rule }).await
    }

    /// Resets all access settings.
    pub async fn clear_access(&mut self, confirmed: Confirmed) -> Result<(), Error> {
        self.write(ClearAccess(confirmed)).await
    }

    /// Makes every user a normal user: whoever comes to the terminal may enter its menu then.
    pub async fn clear_admins(&mut self, confirmed: Confirmed) -> Result<(), Error> {
        self.write(ClearAdmins(confirmed)).await
    }

    /// A short message, by its number; `None` if there is none.
    pub async fn message(&mut self, id: u16) -> Result<Option<Message>, Error> {
        match self.call(ReadMessage { id }).await {
            Ok(message) => Ok(Some(message)),
            Err(Error::Rejected {
                answer: Code::ERR_4993,
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a short message of at most 321 bytes of text. Newer firmware has room for them and takes
    /// nothing shorter; where that is refused and 61 bytes are enough, the shape of old firmware is
    /// tried.
    pub async fn set_message(&mut self, message: &Message) -> Result<(), Error> {
        if !message.fits(true) {
            return Err(Misuse::DoesNotFit { what: "text" }.into());
        }
        let write = |long| WriteMessage {
            message: message.clone(),
            long,
        };
        match self.call(write(true)).await {
            Err(Error::Rejected { .. }) if message.fits(false) => self.call(write(false)).await,
            result => result,
        }
    }

    /// Deletes a short message, by its number.
    pub async fn delete_message(&mut self, id: u16) -> Result<(), Error> {
        self.call(DeleteMessage { id }).await
    }

    /// Shows a personal message to a user, by internal number.
    pub async fn link_message(&mut self, uid: u16, message: u16) -> Result<(), Error> {
        self.call(LinkMessage { uid, message }).await
    }

    /// Shows it to the user no longer.
    pub async fn unlink_message(&mut self, uid: u16, message: u16) -> Result<(), Error> {
        self.call(UnlinkMessage { uid, message }).await
    }
}
