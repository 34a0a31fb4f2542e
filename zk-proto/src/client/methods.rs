//! Sugar over [`Client::call`].

use bytes::Bytes;
use chrono::NaiveDateTime;

use super::Client;
use crate::{
    Code, Error, Misuse,
    record::Counters,
    request::{
        DataSet, DisableDevice, EnableDevice, FreeBuffer, PrepareBuffer, Prepared, ReadClock,
        ReadCounters, ReadOption, ReadSlice, ReadVersion, Request, SetClock,
    },
    wire::PackedTime,
};

/// What a terminal says about itself; what it does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Serial number.
    pub serial_number: Option<String>,
    /// Firmware version, such as `Ver 6.60 Jun  9 2017`.
    pub firmware: Option<String>,
    /// Platform, such as `ZMM210_TFT`.
    pub platform: Option<String>,
    /// Product name.
    pub name: Option<String>,
    /// Hardware address of the network interface.
    pub mac: Option<String>,
}

impl Client {
    /// Serial number, firmware, platform, name and hardware address.
    pub async fn info(&mut self) -> Result<DeviceInfo, Error> {
        Ok(DeviceInfo {
            serial_number: self.option("~SerialNumber").await?,
            firmware: said(self.call(ReadVersion).await)?,
            platform: self.option("~Platform").await?,
            name: self.option("~DeviceName").await?,
            mac: self.option("MAC").await?,
        })
    }

    /// One option by its name; `None` if the terminal does not have it or it is empty.
    pub async fn option(&mut self, key: &str) -> Result<Option<String>, Error> {
        said(self.call(ReadOption { key }).await)
    }

    /// The counters. They are advisory: 0 or a stale number occurs while records exist.
    pub async fn counters(&mut self) -> Result<Counters, Error> {
        let counters = self.call(ReadCounters).await?;
        self.counters = Some(counters);
        Ok(counters)
    }

    /// The terminal's clock: local time, no zone.
    pub async fn time(&mut self) -> Result<PackedTime, Error> {
        self.call(ReadClock).await
    }

    /// Sets the terminal's clock to a local time; years 2000 to 2099.
    pub async fn set_time(&mut self, time: NaiveDateTime) -> Result<(), Error> {
        self.call(SetClock(PackedTime::from_civil(time)?)).await
    }

    /// Prepares the attendance log for reading slices of it. Byte 0 of the data set is the first
    /// of its four-byte total; the records follow. [`free`](Self::free) it afterwards.
    pub async fn prepare_attendance(&mut self) -> Result<Prepared, Error> {
        self.prepare(DataSet::ATTENDANCE).await
    }

    /// Prepares a data set for reading slices of it.
    pub async fn prepare(&mut self, set: DataSet) -> Result<Prepared, Error> {
        self.prepared = None;
        let prepared = self.call(PrepareBuffer(set)).await?;
        self.prepared = Some(prepared.clone());
        Ok(prepared)
    }

    /// Reads `len` bytes of the prepared data set, in as many chunks as it takes. A small data set
    /// that came inline is served from memory.
    pub async fn read_prepared(&mut self, offset: u32, len: u32) -> Result<Bytes, Error> {
        let prepared = self.prepared.as_ref().ok_or(Misuse::NothingPrepared)?;
        let (size, end) = (prepared.size, u64::from(offset) + u64::from(len));
        if end > u64::from(size) {
            return Err(Misuse::OutOfRange { end, size }.into());
        }
        if let Some(inline) = &prepared.inline {
            return Ok(inline.slice(offset as usize..offset as usize + len as usize));
        }
        if len == 0 {
            return Ok(Bytes::new());
        }
        self.call(ReadSlice { offset, len }).await
    }

    /// Releases the prepared data set. Nothing is sent if it came inline, or if there is none.
    pub async fn free(&mut self) -> Result<(), Error> {
        match self.prepared.take() {
            Some(Prepared { inline: None, .. }) => self.call(FreeBuffer).await,
            _ => Ok(()),
        }
    }

    /// Locks keypad and sensor, for good or for some seconds. [`enable`](Self::enable) undoes it;
    /// so does dropping the client.
    pub async fn disable(&mut self, seconds: Option<u32>) -> Result<(), Error> {
        self.call(DisableDevice { seconds }).await
    }

    /// Unlocks keypad and sensor.
    pub async fn enable(&mut self) -> Result<(), Error> {
        self.call(EnableDevice).await
    }

    /// A bulk read, with the keypad locked around it if that was asked for.
    pub(super) async fn read<R: Request>(&mut self, request: R) -> Result<R::Reply, Error> {
        // A terminal holds one data set at a time.
        self.prepared = None;
        if !self.disable_while_reading {
            return self.call(request).await;
        }
        let mut locked = self.lock(None).await?;
        let result = locked.call(request).await;
        let unlocked = locked.release().await;
        let reply = result?;
        unlocked?;
        Ok(reply)
    }

    /// The counters as they were when this connection first asked.
    pub(super) async fn known_counters(&mut self) -> Result<Counters, Error> {
        match self.counters {
            Some(counters) => Ok(counters),
            None => match self.counters().await {
                // Firmware without counters can still be read.
                Err(Error::Rejected { .. }) => Ok(Counters::default()),
                result => result,
            },
        }
    }
}

/// An answer that a terminal may refuse or leave empty.
fn said(result: Result<String, Error>) -> Result<Option<String>, Error> {
    match result {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(Error::Rejected { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a refusal means that there is nothing to read: "no data", and the counters agree.
pub(super) fn is_empty(error: &Error, count: Option<u32>) -> bool {
    matches!(
        error,
        Error::Rejected {
            answer: Code::ERR_NO_DATA,
            ..
        }
    ) && count == Some(0)
}
