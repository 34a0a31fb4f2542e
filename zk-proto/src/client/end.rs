//! When a connection ends, come what may.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use super::now;
use crate::Error;

/// The instant from which a connection says nothing more, goodbye included; see [`Connect::until`].
///
/// Clones share it, so that it can be put off while the connection is at work: for whoever may speak to a
/// terminal only so long, such as the holder of a lease that is renewed.
///
/// ```
/// use std::time::{Duration, Instant};
/// use zk_proto::{Connect, End};
///
/// let end = End::at(Instant::now() + Duration::from_secs(20));
/// let options = Connect::tcp().until(&end);
/// end.set(Instant::now() + Duration::from_secs(30));
/// assert!(!end.has_come());
/// ```
///
/// [`Connect::until`]: super::Connect::until
#[derive(Clone, Debug)]
pub struct End(Arc<Mutex<Instant>>);

impl End {
    /// At this instant, unless it is moved.
    pub fn at(instant: Instant) -> Self {
        Self(Arc::new(Mutex::new(instant)))
    }

    /// Moves it. A connection that found that it had come stays closed.
    pub fn set(&self, instant: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = instant;
    }

    /// When it comes.
    pub fn instant(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has come.
    pub fn has_come(&self) -> bool {
        self.instant() <= now()
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.has_come() {
            Err(Error::Ended)
        } else {
            Ok(())
        }
    }
}
