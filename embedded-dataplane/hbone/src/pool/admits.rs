//! Whether a connection may take new streams, as far as that is not known from HTTP/2.

use std::fmt;

/// Tells whether a connection may take new streams.
pub struct Admits(Option<Box<dyn Fn() -> bool + Send + Sync>>);

impl Admits {
    /// As long as it is there.
    pub fn always() -> Self {
        Self(None)
    }

    /// As long as this says so. It is asked under a lock, and is not to wait for anything.
    pub fn while_it(says: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(says)))
    }

    pub(super) fn now(&self) -> bool {
        self.0.as_ref().is_none_or(|says| says())
    }
}

impl fmt::Debug for Admits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Admits").finish_non_exhaustive()
    }
}
