//! Exit codes: a public contract, the same for every command.

use std::process::ExitCode;

/// How the program ends.
///
/// Every error is above 1, so that a `diff` can be used like kubectl's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Exit {
    /// 0: the command did what it was asked to, and found nothing that counts as 1.
    Done = 0,
    /// 1: the command worked and found something: findings at or above `--fail-on` that were not
    /// accepted, or differences.
    Found = 1,
    /// 2: wrong usage, input that cannot be used, a change that no file can take, or output that
    /// cannot be written. What could be analysed was analysed and shown.
    BadInput = 2,
    /// 70: a bug in this program (`EX_SOFTWARE` of BSD's `sysexits.h`).
    Bug = 70,
    /// 130: interrupted, as shells report it. Only probes catch the signal, to show what they found
    /// until then. Files are replaced whole, so that an interruption leaves none half written.
    Interrupted = 130,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
