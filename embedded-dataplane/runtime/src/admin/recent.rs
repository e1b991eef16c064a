//! Texts that are long to make, made once for all who ask at about the same time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// How old a text may be. Scrapers come every few seconds, and people read slower: nobody sees the
/// difference, and however many ask, and however often, it is made once in this time.
const AGE: Duration = Duration::from_secs(1);

/// A text, and how it is made.
pub(super) struct Recent<F> {
    make: F,
    last: Mutex<Option<(Instant, Bytes)>>,
}

impl<F: Fn() -> String> Recent<F> {
    pub(super) fn new(make: F) -> Self {
        let last = Mutex::default();
        Self { make, last }
    }

    /// The text as it is, or was a moment ago. All who get the same share its memory.
    pub(super) fn text(&self) -> Bytes {
        // Held while it is made, so that nobody makes a second one meanwhile.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, text)) = &*last
            && made.elapsed() < AGE
        {
            return text.clone();
        }
        // Before it is made: what happens meanwhile may be missing in it.
        let now = Instant::now();
        let text = Bytes::from((self.make)());
        *last = Some((now, text.clone()));
        text
    }
}
