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
    /// One of these.
    pub(super) said: &'static [&'static str],
    #[expect(dead_code, reason = "for whoever reads the table")]
    pub(super) because: &'static str,
}

impl<T> Case<T> {
    /// The line of the table about one of them, which has said this.
    pub(super) fn line(&self, which: Which, told: &str) -> String {
        let expected = match (which, &self.other) {
            (Which::Ztunnel, Some(other)) => {
                let among = other.said.iter().find(|said| **said == told);
                among.or(other.said.first()).copied().unwrap_or_default()
            }
            _ => self.said,
        };
        format!("{}: {expected}", self.name)
    }
}
