//! The terminal itself: keypad, power, door, screen, options.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use super::Client;
use crate::{
    Error, Misuse,
    request::{
        BlinkClock, ClearLcd, DeviceState, DoorState, PlayVoice, PowerOff, ReadDoor, ReadPinWidth,
        ReadState, RefreshOptions, Request, Restart, Sleep, Unlock, Wake, WriteLcd, WriteOption,
    },
};

/// How long the answer to a restart is waited for. Many terminals restart before they answer.
const LAST_WORD: Duration = Duration::from_secs(2);

/// A client whose terminal has its keypad locked; made by [`Client::lock`].
///
/// [`unlock`](Self::unlock) says when it is over. Otherwise the keypad is unlocked when this is
/// dropped, without waiting for the answer.
#[derive(Debug)]
pub struct Locked<'a> {
    client: &'a mut Client,
    locked: bool,
}

impl<'a> Locked<'a> {
    /// A guard of a keypad that is not locked yet.
    pub(super) fn not_yet(client: &'a mut Client) -> Self {
        Self {
            client,
            locked: false,
        }
    }

    /// Locks the keypad, if it is not. From the first byte sent on, the guard is answerable for it.
    pub(super) async fn lock(&mut self, seconds: Option<u32>) -> Result<(), Error> {
        if self.locked {
            return Ok(());
        }
        self.locked = true;
        self.client.disable(seconds).await
    }

    /// Unlocks the keypad.
    pub async fn unlock(mut self) -> Result<(), Error> {
        self.client.enable().await?;
        self.locked = false;
        Ok(())
    }

    /// Unlocks the keypad if it is locked. A session that has died asked for that as its last word.
    pub(super) async fn release(self) -> Result<(), Error> {
        if self.locked && !self.client.session.is_dead() {
            return self.unlock().await;
        }
        Ok(())
    }
}

impl Deref for Locked<'_> {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.client
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Client {
        self.client
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if self.locked {
            self.client.enable_soon();
        }
    }
}

impl Client {
    /// Locks keypad and sensor for as long as the guard lives, and on the terminal's side for at
    /// most so many seconds, where it knows that.
    pub async fn lock(&mut self, seconds: Option<u32>) -> Result<Locked<'_>, Error> {
        let mut guard = Locked::not_yet(self);
        guard.lock(seconds).await?;
        Ok(guard)
    }

    /// Writes an option and makes it effective. Terminals store any name, also one without
    /// meaning: reading it back proves nothing.
    pub async fn set_option(&mut self, key: &str, value: &str) -> Result<(), Error> {
        self.call(WriteOption { key, value }).await?;
        self.call(RefreshOptions).await
    }

    /// What the terminal is doing.
    pub async fn state(&mut self) -> Result<DeviceState, Error> {
        self.call(ReadState).await
    }

    /// What the door's sensor says.
    pub async fn door(&mut self) -> Result<DoorState, Error> {
        self.call(ReadDoor).await
    }

    /// Opens the door for a duration in the terminal's own unit: some take it for seconds, others
    /// for tenths. It is never repeated.
    pub async fn open_door(&mut self, duration: u32) -> Result<(), Error> {
        self.call(Unlock { duration }).await
    }

    /// Writes on a line of the screen, in this connection's encoding; few terminals with a colour screen
    /// do so.
    pub async fn write_lcd(&mut self, line: u16, text: &str) -> Result<(), Error> {
        let text = self.encoding().encode(text).ok_or(Misuse::NotEncodable)?;
        self.call(WriteLcd { line, text: &text }).await
    }

    /// Clears the screen.
    pub async fn clear_lcd(&mut self) -> Result<(), Error> {
        self.call(ClearLcd).await
    }

    /// Lets the colon of the screen's clock blink, or not.
    pub async fn blink_clock(&mut self, blink: bool) -> Result<(), Error> {
        self.call(BlinkClock(blink)).await
    }

    /// How many bytes a user id may have.
    pub async fn pin_width(&mut self) -> Result<u8, Error> {
        self.call(ReadPinWidth).await
    }

    /// Plays a prompt ([`PlayVoice`] lists some).
    pub async fn play_voice(&mut self, index: u32) -> Result<(), Error> {
        self.call(PlayVoice { index }).await
    }

    /// Restarts the terminal. Silence is taken for consent: many restart before they answer. It
    /// takes 30 to 90 seconds until it can be reached again.
    pub async fn restart(self) -> Result<(), Error> {
        self.last_word(Restart).await
    }

    /// Switches the terminal off. Somebody has to go there to switch it on again.
    pub async fn power_off(self) -> Result<(), Error> {
        self.last_word(PowerOff).await
    }

    /// Sends the terminal to sleep.
    pub async fn sleep(self) -> Result<(), Error> {
        self.last_word(Sleep).await
    }

    /// Wakes the terminal. Old firmware says that it does not support this.
    pub async fn wake(&mut self) -> Result<(), Error> {
        self.call(Wake).await
    }

    /// A request after which the terminal may be gone.
    async fn last_word<R: Request<Reply = ()>>(mut self, request: R) -> Result<(), Error> {
        match tokio::time::timeout(LAST_WORD, self.call(request)).await {
            Ok(Err(error @ (Error::Rejected { .. } | Error::Misuse(_)))) => Err(error),
            _ => Ok(()),
        }
    }
}
