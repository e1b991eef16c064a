//! The octets of a connection, in both directions, until it ends at both ends as it ended at one.
//!
//! What finishes at one end finishes at the other, and that one may go on; what breaks off at one end
//! breaks off at the other, behind what it sent before, so that nobody takes half of a transfer for
//! the whole, nor loses what was whole. While nothing moves no buffer is held, and while one end is
//! slow it slows down the other.

mod end;
mod flow;
mod tcp;
mod tunnelled;

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

pub use end::{Ending, Side};

use flow::Flow;
pub(crate) use tcp::{Tcp, abort};
pub(crate) use tunnelled::Tunnelled;

/// Counts octets as they were passed on.
pub trait Meter: Send + Sync {
    /// So many more octets of a side were written to the other.
    fn passed(&self, from: Side, octets: u64);
}

/// One end of a connection, as the relay sees it.
pub(crate) trait Endpoint {
    /// The next octets, at least one; `None` when the end finished.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>>;

    /// Writes octets from the front of some. Ready when none are left.
    fn poll_write(&mut self, cx: &mut Context<'_>, octets: &mut Bytes) -> Poll<Result<(), Broken>>;

    /// Says that there is no more.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>>;

    /// Ready when what was written is on its way, and [`Self::reset`] takes nothing of it back.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Has the end itself break off when nothing of what was written moves for so long. Says whether
    /// it can; where it cannot, nobody sees whether it moves.
    fn expect(&mut self, within: Duration) -> bool;

    /// Ready when the end broke off, for while it is not read from: because it finished, or because
    /// the other is slow.
    fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<Broken>;

    /// Breaks off.
    fn reset(&mut self);
}

/// How an end broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It said so.
    Reset,
    /// It is done, and takes no more: nothing of what it sent is missing.
    Done,
    /// It failed.
    Failed(String),
}

/// How long what an end sent may stand still on its way to the other after it broke off.
const LINGER: Duration = Duration::from_secs(5);

/// Copies between a client and a server until both have finished, or one broke off, which the other
/// does then too; or until something else happens, or the future is dropped, which breaks off both.
pub(crate) async fn copy<T>(
    client: impl Endpoint,
    server: impl Endpoint,
    meter: &impl Meter,
    end: impl Future<Output = T>,
) -> Result<Ending, T> {
    copy_with(LINGER, client, server, meter, end).await
}

async fn copy_with<T>(
    linger: Duration,
    client: impl Endpoint,
    server: impl Endpoint,
    meter: &impl Meter,
    end: impl Future<Output = T>,
) -> Result<Ending, T> {
    let mut ends = Ends {
        client,
        server,
        is_over: false,
    };
    let mut flow = Flow::new(linger);
    tokio::select! {
        // What ends everything makes ends break off, and is the cause.
        biased;
        cause = end => Err(cause),
        ending = poll_fn(|cx| flow.poll(cx, &mut ends.client, &mut ends.server, meter)) => {
            ends.is_over = true;
            Ok(ending)
        }
    }
}

/// Both ends, which break off unless it was over.
struct Ends<C: Endpoint, S: Endpoint> {
    client: C,
    server: S,
    is_over: bool,
}

impl<C: Endpoint, S: Endpoint> Drop for Ends<C, S> {
    fn drop(&mut self) {
        if !self.is_over {
            self.client.reset();
            self.server.reset();
        }
    }
}

#[cfg(test)]
mod tests;
