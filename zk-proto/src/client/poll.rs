//! A poll on a connection: does what the plan asks.

use super::{Client, Locked};
use crate::{
    Error,
    poll::{Ask, Plan, PollCursor, PollOptions, PollResult, Reply},
    request::{DataSet, FreeBuffer, PrepareBuffer, ReadAttendanceBytes, ReadCounters, ReadSlice},
};

impl Client {
    /// Reads what is new since `cursor`. [`crate::poll`] tells how, and what is left to the caller.
    ///
    /// A terminal that fails half-way gives a result with what came and
    /// [`trouble`](PollResult::trouble); an error means that nothing came.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), zk_proto::Error> {
    /// use zk_proto::{Client, Connect, mock::MockDevice, poll::{PollCursor, PollOptions}};
    ///
    /// let device = MockDevice::builder().generate(7, 20, 5000).start().await.unwrap();
    /// let mut terminal = Client::connect(device.addr(), Connect::tcp()).await?;
    /// let first = terminal.poll(&PollCursor::new(), PollOptions::new()).await?;
    /// assert_eq!(first.new_records().count(), 5000);
    ///
    /// device.punch(device.snapshot().records[0]);
    /// let second = terminal.poll(&first.cursor, PollOptions::new()).await?;
    /// assert_eq!(second.new_records().count(), 1);
    /// assert!(second.log_bytes < 1000);
    /// # Ok(()) }
    /// ```
    pub async fn poll(
        &mut self,
        cursor: &PollCursor,
        options: PollOptions,
    ) -> Result<PollResult, Error> {
        let before = self.session.stats();
        // A terminal holds one data set at a time.
        self.prepared = None;
        let mut plan = Plan::new(cursor, options);
        let mut terminal = Locked::not_yet(self);
        loop {
            let ask = plan.ask();
            if terminal.disable_while_reading && matches!(ask, Ask::Prepare | Ask::Direct) {
                terminal.lock(None).await?;
            }
            let reply = match ask {
                Ask::Counters => terminal.call(ReadCounters).await.map(|counters| {
                    terminal.counters = Some(counters);
                    Reply::Counters(counters)
                }),
                Ask::Prepare => {
                    let set = PrepareBuffer(DataSet::ATTENDANCE);
                    terminal.call(set).await.map(Reply::Prepared)
                }
                Ask::Slice(slice) => {
                    let (offset, len) = (slice.offset, slice.len);
                    let slice = ReadSlice { offset, len };
                    terminal.call(slice).await.map(Reply::Data)
                }
                Ask::AtOnce(slice) => terminal.call(slice).await.map(Reply::Data),
                Ask::Free => terminal.call(FreeBuffer).await.map(|()| Reply::Freed),
                Ask::Direct => terminal.call(ReadAttendanceBytes).await.map(Reply::Data),
                Ask::Nothing => break,
            };
            plan.answer(reply.unwrap_or_else(Reply::Failed));
        }
        terminal.release().await?;
        let after = self.session.stats();
        let mut result = plan.finish()?;
        result.bytes = after.bytes_received - before.bytes_received;
        result.requests = after.requests - before.requests;
        Ok(result)
    }

    /// The serial number; `None` if the terminal has none or does not tell. Compare it before a
    /// poll: at the same address there may be another terminal.
    pub async fn serial_number(&mut self) -> Result<Option<String>, Error> {
        self.option("~SerialNumber").await
    }
}
