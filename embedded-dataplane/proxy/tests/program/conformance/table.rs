//! Cases, with what comes of them.

/// Of whom it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Ours,
    Ztunnel,
}

/// Something that is asked, and what comes of it.
pub(super) struct Case<T> {
    pub(super) name: &'static str,
    pub(super) asked: T,
    pub(super) said: &'static str,
    pub(super) other: Option<Other>,
}

/// What Istio's ztunnel says instead, and why ours does not.
pub(super) struct Other {
    pub(super) said: &'static str,
    #[expect(dead_code, reason = "for whoever reads the table")]
    pub(super) because: &'static str,
}

impl<T> Case<T> {
    pub(super) fn expected(&self, which: Which) -> &'static str {
        match (which, &self.other) {
            (Which::Ztunnel, Some(other)) => other.said,
            _ => self.said,
        }
    }
}
