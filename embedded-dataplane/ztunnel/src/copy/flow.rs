//! Both directions of a connection, step by step.
//!
//! ```text
//!            read            written
//! Open ──────────► Pending ──────────► Open        one direction
//!   │ finished
//!   └──► Finished                                  both: over
//! ```

use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};

use super::end::{Ending, Side};
use super::{Broken, Endpoint, Meter};

/// Pieces that one direction moves before others get their turn.
const TURN: usize = 32;

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Flow {
    from_client: Direction,
    from_server: Direction,
    first: Option<Side>,
}

/// One direction.
#[derive(Debug, Default)]
struct Direction {
    /// Octets that were read and are still to be written.
    pending: Bytes,
    is_finished: bool,
}

/// What one direction came to.
enum Step {
    /// It waits for its source.
    Reading,
    /// It waits for its destination, or finished: nobody reads from the source.
    Deaf,
    /// This side broke off.
    Broken(Side, Broken),
}

impl Flow {
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl Endpoint,
        server: &mut impl Endpoint,
        meter: &impl Meter,
    ) -> Poll<Ending> {
        let up = (self.from_client).poll(cx, Side::Client, client, server, meter);
        let down = (self.from_server).poll(cx, Side::Server, server, client, meter);
        for (direction, side) in [
            (&self.from_client, Side::Client),
            (&self.from_server, Side::Server),
        ] {
            if direction.is_finished {
                self.first.get_or_insert(side);
            }
        }
        let broken = match (up, down) {
            (Step::Broken(side, broken), _) | (_, Step::Broken(side, broken)) => {
                Some((side, broken))
            }
            (up, down) => (listen(&up, Side::Client, client, cx))
                .or_else(|| listen(&down, Side::Server, server, cx)),
        };
        if let Some((side, broken)) = broken {
            return Poll::Ready(self.end(side, broken, client, server));
        }
        if self.from_client.is_finished && self.from_server.is_finished {
            return Poll::Ready(Ending::Finished(self.first.unwrap_or(Side::Client)));
        }
        Poll::Pending
    }

    fn end(
        &self,
        side: Side,
        broken: Broken,
        client: &mut impl Endpoint,
        server: &mut impl Endpoint,
    ) -> Ending {
        let (from, to) = match side {
            Side::Client => (&self.from_client, &self.from_server),
            Side::Server => (&self.from_server, &self.from_client),
        };
        // Whoever said all that it had, and leaves when there is nothing for it, has finished.
        if broken == Broken::Done && from.is_finished && to.pending.is_empty() {
            return Ending::Finished(self.first.unwrap_or(side));
        }
        client.reset();
        server.reset();
        match broken {
            Broken::Reset | Broken::Done => Ending::Reset(side),
            Broken::Failed(detail) => Ending::Failed { at: side, detail },
        }
    }
}

/// Whether an end that nobody reads from broke off.
fn listen(
    step: &Step,
    side: Side,
    end: &mut impl Endpoint,
    cx: &mut Context<'_>,
) -> Option<(Side, Broken)> {
    match step {
        Step::Deaf => match end.poll_broken(cx) {
            Poll::Ready(broken) => Some((side, broken)),
            Poll::Pending => None,
        },
        Step::Reading | Step::Broken(..) => None,
    }
}

impl Direction {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        side: Side,
        from: &mut impl Endpoint,
        to: &mut impl Endpoint,
        meter: &impl Meter,
    ) -> Step {
        if self.is_finished {
            return Step::Deaf;
        }
        for _ in 0..TURN {
            if !self.pending.is_empty() {
                let before = self.pending.remaining();
                let written = to.poll_write(cx, &mut self.pending);
                let passed = before - self.pending.remaining();
                if passed > 0 {
                    meter.passed(side, passed as u64);
                }
                match written {
                    Poll::Ready(Ok(())) => self.pending = Bytes::new(),
                    Poll::Ready(Err(broken)) => return Step::Broken(side.other(), broken),
                    Poll::Pending => return Step::Deaf,
                }
            }
            match from.poll_read(cx) {
                Poll::Ready(Ok(Some(octets))) => self.pending = octets,
                Poll::Ready(Ok(None)) => {
                    self.is_finished = true;
                    return match to.finish() {
                        Ok(()) => Step::Deaf,
                        Err(broken) => Step::Broken(side.other(), broken),
                    };
                }
                Poll::Ready(Err(broken)) => return Step::Broken(side, broken),
                Poll::Pending => return Step::Reading,
            }
        }
        cx.waker().wake_by_ref();
        Step::Reading
    }
}
