//! Octets through a tunnel, and what comes back.

use std::time::Duration;

use ambient_hbone::{Fault, ProbeConnection, ProbeTunnel, Receiver};
use bytes::Bytes;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until};

use super::judge::{self, Verdict};
use super::limit::Limit;

/// How long an application may take to close a tunnel that nothing was sent through, or to send
/// something back.
const GRACE: Duration = Duration::from_millis(100);

/// How many octets that come back as they were sent make an echo, whatever follows: no other
/// application begins with a whole [`block`].
const ECHO: u64 = 16;

/// Waits whether the application says something, or closes. Nothing is sent: an application may do
/// anything on what it gets.
pub(super) async fn listen(
    tunnel: &mut ProbeTunnel,
    limit: Limit,
) -> Result<((), String), Verdict> {
    let grace = limit.at_most(GRACE);
    match grace.bound(tunnel.halves().1.receive()).await {
        Err(_) => Ok(((), "the tunnel stays open; nothing was sent".to_owned())),
        Ok(Ok(Some(octets))) => Ok(((), format!("{} came", judge::octets(octets.len() as u64)))),
        Ok(Ok(None)) => Err(judge::closed(None, limit.elapsed(), 0)),
        Ok(Err(fault)) => Err(judge::tunnel(&fault)),
    }
}

/// Sends octets of each size, followed by a PING: its answer proves that they arrived. Where the
/// application sends them back, all have to come back as they were.
pub(super) async fn sweep(
    connection: &mut ProbeConnection,
    tunnel: &mut ProbeTunnel,
    sizes: &[usize],
    limit: Limit,
) -> Result<((), String), Verdict> {
    let mut sweep = Sweep::default();
    let swept = limit.bound(sweep.run(connection, tunnel, sizes)).await;
    let verdict = match swept {
        Ok(Ok(())) => return Ok(((), sweep.passed.join("; "))),
        Ok(Err(Ended::Closed)) => {
            judge::closed(Some(sweep.size), sweep.started.elapsed(), sweep.back.came)
        }
        Ok(Err(Ended::Changed(place))) => judge::changed(place),
        Ok(Err(Ended::Fault(fault))) => judge::tunnel(&fault),
        Err(late) => judge::stalled(sweep.size, sweep.missing(), late),
    };
    sweep.passed.push(verdict.detail);
    Err(Verdict {
        detail: sweep.passed.join("; "),
        ..verdict
    })
}

enum Ended {
    /// The application ended the stream.
    Closed,
    /// It sends back what it gets, but for an octet, counted from 1.
    Changed(u64),
    Fault(Fault),
}

/// How far it got.
struct Sweep {
    /// What is told of the sizes that passed.
    passed: Vec<String>,
    /// Octets of the size under way, and when it began.
    size: usize,
    started: Instant,
    /// Whether all of them arrived.
    arrived: bool,
    sent: u64,
    back: Back,
    /// The application ended its direction.
    ended: bool,
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            passed: Vec::new(),
            size: 0,
            started: Instant::now(),
            arrived: false,
            sent: 0,
            back: Back::default(),
            ended: false,
        }
    }
}

impl Sweep {
    async fn run(
        &mut self,
        connection: &mut ProbeConnection,
        tunnel: &mut ProbeTunnel,
        sizes: &[usize],
    ) -> Result<(), Ended> {
        for (place, &size) in sizes.iter().enumerate() {
            let is_first = place == 0;
            let is_last = place + 1 == sizes.len();
            let before = self.back.came;
            let time = self
                .pass(connection, tunnel, size, is_first || is_last)
                .await?;
            let came = self.back.came - before;
            let size = judge::octets(size as u64);
            let mut told = format!("{size} in {time:.1?}, {came} came back");
            if self.ended {
                // It may answer and go, when it has got everything.
                if !is_last || self.back.came == 0 || self.missing().is_some() {
                    return Err(Ended::Closed);
                }
                told.push_str(", and the application ended the stream");
            }
            self.passed.push(told);
        }
        Ok(())
    }

    /// Sends octets until they have arrived, while what comes back is taken; tells how long it took.
    /// `wait` gives the application a moment to answer; an echo is waited for in any case.
    async fn pass(
        &mut self,
        connection: &mut ProbeConnection,
        tunnel: &mut ProbeTunnel,
        size: usize,
        wait: bool,
    ) -> Result<Duration, Ended> {
        (self.size, self.started, self.arrived) = (size, Instant::now(), false);
        let octets = pattern(self.sent, size);
        self.sent += size as u64;
        let started = self.started;
        let (mut sender, mut receiver) = tunnel.halves();
        let send = async {
            sender.send(octets).await?;
            connection.settle().await?;
            Ok::<_, Fault>(started.elapsed())
        };
        tokio::pin!(send);
        let mut time = None;
        // Until when the application may have something to say.
        let mut grace = None;
        loop {
            tokio::select! {
                done = &mut send, if time.is_none() => match done {
                    Ok(elapsed) => {
                        time = Some(elapsed);
                        self.arrived = true;
                        grace = Some(Instant::now() + GRACE);
                    }
                    // Nobody is there any more to take the rest.
                    Err(_) if self.ended => return Err(Ended::Closed),
                    // The other direction tells why.
                    Err(Fault::Closed) => return Err(end_of(&mut receiver).await),
                    Err(fault) => return Err(Ended::Fault(fault)),
                },
                came = receiver.receive(), if !self.ended => match came {
                    Ok(Some(octets)) => self.back.take(&octets, self.sent),
                    Ok(None) => {
                        self.ended = true;
                        grace = Some(Instant::now() + GRACE);
                    }
                    Err(fault) => return Err(Ended::Fault(fault)),
                },
                () = sleep_until(grace.unwrap_or(started)),
                    if grace.is_some() && (self.ended || self.missing().is_none()) =>
                {
                    return time.ok_or(Ended::Closed);
                }
            }
            // Whoever sends without end must not keep us from looking at the time.
            consume_budget().await;
            if let Some(place) = self.back.changed() {
                return Err(Ended::Changed(place));
            }
            let is_quiet = self.ended || self.back.came >= self.sent;
            if let Some(time) = time
                && (is_quiet || !wait && self.missing().is_none())
            {
                return Ok(time);
            }
        }
    }

    /// How many octets an echo still owes; `None` where there is no echo, or it owes nothing.
    fn missing(&self) -> Option<u64> {
        let missing = self.sent.saturating_sub(self.back.came);
        (self.arrived && self.back.is_echo() && missing > 0).then_some(missing)
    }
}

/// How a stream ended that takes no more octets.
async fn end_of(receiver: &mut Receiver<'_>) -> Ended {
    loop {
        match receiver.receive().await {
            Ok(Some(_)) => consume_budget().await,
            Ok(None) => return Ended::Closed,
            Err(fault) => return Ended::Fault(fault),
        }
    }
}

/// What came back, compared with what was sent.
#[derive(Debug, Default)]
struct Back {
    came: u64,
    /// How many octets came before the first that was not as it was sent.
    same: Option<u64>,
}

impl Back {
    fn take(&mut self, octets: &[u8], sent: u64) {
        if self.same.is_none() {
            let owed = sent.saturating_sub(self.came);
            let owed = usize::try_from(owed).unwrap_or(usize::MAX);
            let expected = pattern(self.came, octets.len().min(owed));
            let equal = octets.iter().zip(&expected).take_while(|(a, b)| a == b);
            let equal = equal.count();
            if equal < octets.len() {
                self.same = Some(self.came + equal as u64);
            }
        }
        self.came += octets.len() as u64;
    }

    /// Everything that came is what was sent.
    fn is_echo(&self) -> bool {
        self.came > 0 && self.same.is_none()
    }

    /// The first octet that an echo changed, counted from 1.
    fn changed(&self) -> Option<u64> {
        self.same.filter(|same| *same >= ECHO).map(|same| same + 1)
    }
}

/// Octets from a place on. Each block tells where it belongs, so that what is lost, doubled or out of
/// order shows; they are digits, which mean little to an application, and never the end of a line.
fn pattern(from: u64, size: usize) -> Bytes {
    let skipped = usize::try_from(from % ECHO).unwrap_or_default();
    let mut octets = Vec::with_capacity(skipped + size + 16);
    for number in from / ECHO.. {
        if octets.len() >= skipped + size {
            break;
        }
        octets.extend(block(number));
    }
    octets.truncate(skipped + size);
    Bytes::from(octets).slice(skipped..)
}

/// The octets of one block: its number, and a point.
fn block(number: u64) -> [u8; 16] {
    let mut block = [b'.'; 16];
    let mut rest = number;
    for place in block.iter_mut().rev().skip(1) {
        *place = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_its_octets() {
        assert_eq!(&pattern(0, 34)[..], b"000000000000000.000000000000001.00");
        let whole = pattern(0, 1000);
        for from in [0, 1, 15, 16, 17, 500] {
            let part = pattern(from as u64, 100);
            assert_eq!(part, whole[from..from + 100], "{from}");
        }
    }

    #[test]
    fn an_echo_is_known_by_what_it_sends_back() {
        let sent = pattern(0, 100);
        let back = |pieces: &[&[u8]]| {
            let mut back = Back::default();
            for piece in pieces {
                back.take(piece, 100);
            }
            (back.came, back.is_echo(), back.changed())
        };
        assert_eq!(back(&[]), (0, false, None));
        assert_eq!(back(&[&sent[..7], &sent[7..]]), (100, true, None));
        assert_eq!(back(&[b"HTTP/1.1 400 Bad Request"]), (24, false, None));
        // The beginning of a number is no echo.
        assert_eq!(back(&[b"000123"]), (6, false, None));
        assert_eq!(back(&[&sent[..40], b"x"]), (41, false, Some(41)));
        assert_eq!(back(&[&sent[..40], &sent[56..]]), (84, false, Some(47)));
        assert_eq!(back(&[&sent, b"more"]), (104, false, Some(101)));
    }
}
