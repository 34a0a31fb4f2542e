//! Progress bars on stderr. They hide by themselves where stderr is no terminal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use zk_proto::Client;

use super::output::Output;

/// Shows how far bulk reads of `client` are. Drop or finish the bar when they are done.
pub(super) fn watch(client: &mut Client, output: &Output) -> ProgressBar {
    if output.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length().with_style(style());
    let shown = bar.clone();
    client.on_progress(move |progress| {
        shown.set_length(u64::from(progress.total));
        shown.set_position(u64::from(progress.received));
    });
    bar
}

/// Reports (device, bytes received, bytes in all).
pub(super) type Report = Arc<dyn Fn(&str, u64, u64) + Send + Sync>;

/// One bar per device.
pub(super) fn per_device(output: &Output) -> Option<(MultiProgress, Report)> {
    let all = MultiProgress::new();
    if output.is_json() || all.is_hidden() {
        return None;
    }
    let bars: Mutex<HashMap<String, ProgressBar>> = Mutex::default();
    let shown = all.clone();
    let report: Report = Arc::new(move |device, received, total| {
        // Whoever panicked while holding it left a whole map behind.
        let mut bars = bars
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let bar = bars.entry(device.to_owned()).or_insert_with(|| {
            shown.add(
                ProgressBar::no_length()
                    .with_style(style())
                    .with_message(device.to_owned()),
            )
        });
        bar.set_length(total);
        bar.set_position(received);
    });
    Some((all, report))
}

/// For rows of a database.
pub(super) fn rows(output: &Output) -> ProgressBar {
    if output.is_json() {
        return ProgressBar::hidden();
    }
    // The default style serves if this one should not parse.
    let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} rows, {eta}");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn style() -> ProgressStyle {
    // The default style serves if this one should not parse.
    ProgressStyle::with_template(
        "{msg:16} {wide_bar} {bytes} of {total_bytes}, {binary_bytes_per_sec}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
}
