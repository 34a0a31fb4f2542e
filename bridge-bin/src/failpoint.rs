//! Points at which a test ends the process on the spot, as a power failure would (P5).
//!
//! Compiled only with the feature `failpoints`, which no release has. `ZK_BRIDGE_FAILPOINT=NAME:N` ends the process
//! when it comes by the point `NAME` for the N-th time.
//!
//! | Point | Lies |
//! |---|---|
//! | `commit.before`, `commit.after` | around every commit of the store |
//! | `renew.before`, `renew.after` | around the renewal of a lease |
//! | `backup` | before a backup takes its name |
//! | `sent` | between the answer of a target and the note of it |

/// Comes by the point `name`.
#[cfg(feature = "failpoints")]
pub(crate) fn pass(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: LazyLock<Option<(String, u32)>> = LazyLock::new(|| {
        let text = std::env::var("ZK_BRIDGE_FAILPOINT").ok()?;
        let (name, times) = text.split_once(':')?;
        Some((name.to_owned(), times.parse().ok()?))
    });
    static PASSED: AtomicU32 = AtomicU32::new(0);

    if let Some((wanted, times)) = &*WANTED
        && wanted == name
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *times
    {
        std::process::abort();
    }
}

/// Comes by the point `name`, which is nothing in this build.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn pass(_name: &str) {}
