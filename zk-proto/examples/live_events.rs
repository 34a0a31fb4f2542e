//! Prints punches as they happen, and those that were missed while nobody listened.
//!
//! `cargo run -p zk-proto --example live_events -- 192.168.1.201:4370 1234`

use std::io::{self, Write};

use zk_proto::{
    Client, CommKey, Connect, Error, Heard,
    poll::{PollCursor, PollOptions},
    record::{EventMask, Told},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .ok_or("usage: live_events HOST:PORT [COMM_KEY]")?;
    let key = arguments.next().map_or(Ok(0), |key| key.parse())?;
    follow(&address, CommKey::new(key), &mut io::stdout(), usize::MAX).await?;
    Ok(())
}

/// Writes a line for each punch, until there were so many lines.
pub(crate) async fn follow(
    address: &str,
    key: CommKey,
    out: &mut impl Write,
    most: usize,
) -> Result<(), Error> {
    let mut written = 0;
    let mut say = |text: String| {
        written += 1;
        // A reader that has gone away wants no more.
        if writeln!(out, "{text}").is_err() {
            written = most;
        }
        written < most
    };
    let terminal = Client::connect(address, Connect::auto().comm_key(key)).await?;
    let mut live = terminal.listen(EventMask::ATTENDANCE).await?;
    // What was there before is not news, but where it ends is worth knowing.
    let client = live.client();
    let mut cursor = client
        .poll(&PollCursor::new(), PollOptions::new())
        .await?
        .cursor;
    loop {
        match live.next().await? {
            Heard::Event(event) => {
                if let Told::Punches(punches) = event.decode() {
                    for punch in punches {
                        if !say(format!("now    {} {:?}", punch.time, punch.who)) {
                            return Ok(());
                        }
                    }
                }
            }
            // Terminals do not repeat what nobody heard. The log has it.
            Heard::Resumed { lost } => {
                if !say(format!("resumed after: {lost}")) {
                    return Ok(());
                }
                let missed = live.client().poll(&cursor, PollOptions::new()).await?;
                for record in missed.new_records() {
                    if !say(format!("missed {} {}", record.time(), record.user_id())) {
                        return Ok(());
                    }
                }
                cursor = missed.cursor;
            }
            _ => {}
        }
    }
}
