//! Changing the people a terminal knows: look up, verify, write, make effective, read back.

use super::Client;
use crate::{
    Code, Error, Misuse,
    record::{User, UserLayout, UserRecord},
    request::{DeleteUser, RefreshData, Request, WriteUser},
};

impl Client {
    /// Deletes the user with this id, and gives what was deleted.
    ///
    /// Terminals delete by internal number, which is not the id people type. It is looked up in
    /// the list of users first, and nothing is sent unless the list is clear about it. Afterwards
    /// the list is read again: a user who is still there is [`Error::NotKept`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), zk_proto::Error> {
    /// use zk_proto::{Client, Connect, mock::MockDevice};
    ///
    /// let device = MockDevice::builder().generate(7, 20, 0).start().await.unwrap();
    /// let mut terminal = Client::connect(device.addr(), Connect::tcp()).await?;
    /// let gone = terminal.delete_user("1003").await?;
    /// assert_eq!(gone.uid, 3);
    /// assert_eq!(terminal.users().await?.len(), 19);
    /// # Ok(()) }
    /// ```
    pub async fn delete_user(&mut self, user_id: &str) -> Result<User, Error> {
        let records = self.user_records().await?;
        let user = find(&records, user_id)?.user();
        self.call(DeleteUser { uid: user.uid }).await?;
        self.call(RefreshData).await?;
        let after = self.user_records().await?;
        if after.iter().any(|record| is_called(record, user_id)) {
            return Err(Error::NotKept {
                request: DeleteUser::CODE,
            });
        }
        Ok(user)
    }

    /// Changes the user with this id and leaves everything else in the record as it is, the
    /// password included. The internal number stays, whatever `change` does to it.
    ///
    /// This is how to set a name, a card, a group or a privilege:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), zk_proto::Error> {
    /// use zk_proto::{Client, Connect, mock::MockDevice, record::Privilege};
    ///
    /// let device = MockDevice::builder().generate(7, 20, 0).start().await.unwrap();
    /// let mut terminal = Client::connect(device.addr(), Connect::tcp()).await?;
    /// let user = terminal
    ///     .update_user("1003", |user| {
    ///         user.card = 70_000;
    ///         user.privilege = Privilege::ENROLLER;
    ///     })
    ///     .await?;
    /// assert!(device.snapshot().users.contains(&user));
    /// # Ok(()) }
    /// ```
    pub async fn update_user(
        &mut self,
        user_id: &str,
        change: impl FnOnce(&mut User),
    ) -> Result<User, Error> {
        let records = self.user_records().await?;
        let mut record = find(&records, user_id)?.clone();
        let before = record.user();
        let mut user = before;
        change(&mut user);
        user.uid = before.uid;
        if user.user_id != before.user_id {
            refuse_taken(&records, &user)?;
        }
        record.set(&user);
        self.write_user(record, &user).await
    }

    /// Adds a user in a slot that is free; `user.uid` is not looked at. An id that is taken, or that the
    /// terminal's records cannot hold, is refused before anything is sent; a name that is too long for
    /// them is cut, and comes back as it is stored.
    pub async fn add_user(&mut self, user: User) -> Result<User, Error> {
        let records = self.user_records().await?;
        refuse_taken(&records, &user)?;
        let taken: Vec<u16> = records.iter().map(|record| record.user().uid).collect();
        let usual = records
            .first()
            .map_or(UserLayout::Bytes72, UserRecord::layout);
        let behind = taken
            .iter()
            .max()
            .map_or(Some(1), |last| last.checked_add(1));
        // On the oldest firmware the slot is the id.
        let named = || {
            let number = user.user_id.to_number()?;
            u16::try_from(number).ok()
        };
        let uid = match usual {
            UserLayout::Bytes16 => named(),
            _ => behind,
        };
        let uid = uid
            .or_else(|| (1..=u16::MAX).find(|uid| !taken.contains(uid)))
            .ok_or(Error::Rejected {
                request: WriteUser::CODE,
                answer: Code::ERR_4990,
            })?;
        let user = User { uid, ..user };
        match self.write_user(UserRecord::new(&user, usual), &user).await {
            // Firmware without users does not show which shape it wants.
            Err(Error::Rejected { .. }) if records.is_empty() => {
                let record = UserRecord::new(&user, UserLayout::Bytes28);
                self.write_user(record, &user).await
            }
            result => result,
        }
    }

    /// Writes a record, makes it effective and reads it back.
    async fn write_user(&mut self, record: UserRecord, wanted: &User) -> Result<User, Error> {
        let user = record.user();
        if user.user_id != wanted.user_id {
            return Err(Misuse::DoesNotFit { what: "user id" }.into());
        }
        self.call(WriteUser(record)).await?;
        self.call(RefreshData).await?;
        let after = self.user_records().await?;
        if !after.iter().any(|record| record.user() == user) {
            return Err(Error::NotKept {
                request: WriteUser::CODE,
            });
        }
        Ok(user)
    }
}

fn is_called(record: &UserRecord, user_id: &str) -> bool {
    record.user().user_id.as_bytes() == user_id.as_bytes()
}

/// The one record with this id. Its slot must be its own: deleting goes by slot.
fn find<'a>(records: &'a [UserRecord], user_id: &str) -> Result<&'a UserRecord, Error> {
    let named = || records.iter().filter(|record| is_called(record, user_id));
    let Some(record) = named().next().filter(|_| !user_id.is_empty()) else {
        return Err(Error::NoSuchUser {
            user_id: user_id.to_owned(),
        });
    };
    let uid = record.user().uid;
    let in_slot = records.iter().filter(|record| record.user().uid == uid);
    if uid == 0 || named().count() > 1 || in_slot.count() > 1 {
        return Err(Error::AmbiguousUser {
            user_id: user_id.to_owned(),
            uids: named().map(|record| record.user().uid).collect(),
        });
    }
    Ok(record)
}

fn refuse_taken(records: &[UserRecord], user: &User) -> Result<(), Error> {
    let taken = records
        .iter()
        .map(UserRecord::user)
        .filter(|other| other.user_id == user.user_id);
    let uids: Vec<u16> = taken.map(|other| other.uid).collect();
    if uids.is_empty() && !user.user_id.is_empty() {
        return Ok(());
    }
    Err(Error::AmbiguousUser {
        user_id: user.user_id.to_string(),
        uids,
    })
}
