//! How fast a target is told.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crm_client::RateLimit;

use crate::app::App;
use crate::config::targets::Target;

/// Rows that are settled together at most: what a kill may send once more, under the same keys.
const PORTION: u64 = 2_000;

/// How many rows may go, and when.
pub(super) struct Pace {
    /// Rows taken, pushed and settled at once.
    portion: u64,
    limit: Option<RateLimit>,
}

impl Pace {
    pub(super) fn of(app: &App, target: &Target) -> Self {
        let (batch, at_once) = (target.batch_size.into(), target.concurrency.into());
        let portion = portion(target.takes_batches(), batch, at_once);
        let limit = target.rate_per_second.and_then(NonZeroU32::new);
        Self {
            portion,
            limit: limit.map(|rate| RateLimit::new(rate, Duration::from_secs(1), system_time(app))),
        }
    }

    /// So many rows were allowed and not there.
    pub(super) fn give_back(&mut self, rows: u64) {
        if let Some(limit) = &mut self.limit {
            limit.give_back(usize::try_from(rows).unwrap_or(0));
        }
    }

    /// Waits until something may go; returns how many rows.
    pub(super) async fn next(&mut self, app: &App) -> u64 {
        let Some(limit) = &mut self.limit else {
            return self.portion;
        };
        let wanted = usize::try_from(self.portion).unwrap_or(usize::MAX);
        loop {
            let now = system_time(app);
            let given = limit.take(wanted, now);
            if given > 0 {
                return given as u64;
            }
            let wait = limit.ready_at(now).duration_since(now).unwrap_or_default();
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
    }
}

fn system_time(app: &App) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(app.clock.now_ms()).unwrap_or(0))
}

fn portion(takes_batches: bool, batch: u64, at_once: u64) -> u64 {
    if takes_batches {
        // Settling costs a write to the disk, so several batches share one.
        (batch * at_once.max(10)).min(PORTION)
    } else {
        // At a tenth of a second each, what a kill may send once more is the work of some ten seconds.
        batch.min(at_once * 100)
    }
}

#[cfg(test)]
mod tests {
    use super::portion;

    #[test]
    fn what_a_kill_may_send_once_more_is_bounded() {
        assert_eq!(portion(false, 10_000, 1), 100);
        assert_eq!(portion(false, 10_000, 8), 800);
        assert_eq!(portion(false, 10, 8), 10);
        assert_eq!(portion(true, 100, 8), 1_000);
        assert_eq!(portion(true, 10_000, 8), 2_000);
    }
}
