//! The time of day, which certificates are valid by.

use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use tokio::time::Instant;

/// Tells the time of day.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock(Option<Start>);

#[derive(Debug, Clone, Copy)]
struct Start {
    day: Duration,
    instant: Instant,
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that shows the machine's time now, and then goes as tokio's time does: it stands
    /// where that is paused, and jumps where that is advanced.
    pub fn of_tokio() -> Self {
        Self(Some(Start {
            day: since_1970(),
            instant: Instant::now(),
        }))
    }

    /// The time of day.
    pub fn now(self) -> UnixTime {
        UnixTime::since_unix_epoch(match self.0 {
            None => since_1970(),
            Some(start) => start.day + start.instant.elapsed(),
        })
    }
}

/// A clock that is set to before 1970 shows its beginning.
fn since_1970() -> Duration {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    elapsed.unwrap_or_default()
}
