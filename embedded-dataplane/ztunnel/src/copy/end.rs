//! How a connection ends.

use std::fmt;

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Who connected.
    Client,
    /// Who was connected to.
    Server,
}

impl Side {
    /// The other end.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// Who ended a connection, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Both ends finished, this one first.
    Finished(Side),
    /// This end broke off.
    Reset(Side),
    /// The way to this end failed.
    Failed {
        /// Which end.
        at: Side,
        /// How.
        detail: String,
    },
}

impl Ending {
    /// The end that brought it about.
    pub fn by(&self) -> Side {
        match self {
            Self::Finished(side) | Self::Reset(side) | Self::Failed { at: side, .. } => *side,
        }
    }
}
