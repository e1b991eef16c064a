//! The applications: one that answers, and one that asks and measures. Each runs in a namespace of its
//! own, as this program with a command that help does not list.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ambient_testkit::Authority;
use clap::{Args, ValueEnum};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::AUTHORITY;

/// Octets of a request.
const REQUEST: usize = 128;
/// Octets of an answer.
const ANSWER: usize = 1024;
/// Octets of one write of bulk.
const PIECE: usize = 256 * 1024;
/// How long nothing is measured yet.
const WARM_UP: Duration = Duration::from_millis(500);
/// All requests of a second, in the mode that has a rate.
const RATE: u32 = 1000;

/// What is asked for: the first octet of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Requests at a rate of 1000 a second, over connections that stay.
    Paced,
    /// Requests as fast as they are answered, over connections that stay.
    Fast,
    /// A connection for each request.
    Connect,
    /// Octets to the server, as fast as they go.
    Bulk,
    /// Connections that do nothing.
    Hold,
}

/// Answers, for ever.
#[derive(Debug, Args)]
pub(crate) struct Answer {
    /// Where.
    listen: SocketAddr,
}

/// Asks, and measures.
#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// Whom.
    server: SocketAddr,
    /// What.
    #[arg(value_enum)]
    mode: Mode,
    /// With how many connections.
    connections: u32,
    /// For how many milliseconds.
    milliseconds: u64,
}

/// What was measured, as it is handed from one process to the other: numbers on a line.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Figures {
    /// Requests, or connections, that were answered.
    pub(super) answered: u64,
    /// Octets of bulk that arrived.
    pub(super) octets: u64,
    /// How long it took.
    pub(super) took: Duration,
    /// Latencies.
    pub(super) p50: Duration,
    pub(super) p90: Duration,
    pub(super) p99: Duration,
}

impl Figures {
    fn line(&self) -> String {
        let times = [self.took, self.p50, self.p90, self.p99];
        let [took, p50, p90, p99] = times.map(|time| time.as_nanos());
        format!("{} {} {took} {p50} {p90} {p99}", self.answered, self.octets)
    }

    /// Reads a line; `None` for another text.
    pub(super) fn read(line: &str) -> Option<Self> {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        let (answered, octets) = (next()?, next()?);
        let mut time = || next().map(Duration::from_nanos);
        let (took, p50, p90, p99) = (time()?, time()?, time()?, time()?);
        Some(Self {
            answered,
            octets,
            took,
            p50,
            p90,
            p99,
        })
    }
}

fn block_on<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

/// Runs the server.
///
/// # Errors
///
/// When it cannot listen.
pub(crate) fn answer(answer: &Answer) -> io::Result<()> {
    block_on(async {
        let listener = TcpListener::bind(answer.listen).await?;
        say("listening")?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // It ends with the process. Clients come and go as they like.
            tokio::spawn(async move {
                _ = serve(stream).await;
            });
        }
    })
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut request = vec![0; REQUEST];
    stream.read_exact(&mut request).await?;
    if request.first() == Some(&b'b') {
        let mut piece = vec![0; PIECE];
        let mut octets = 0_u64;
        loop {
            match stream.read(&mut piece).await? {
                0 => break,
                count => octets += count as u64,
            }
        }
        return stream.write_all(&octets.to_be_bytes()).await;
    }
    let answer = vec![b'x'; ANSWER];
    loop {
        stream.write_all(&answer).await?;
        if request.first() == Some(&b'c') {
            return stream.shutdown().await;
        }
        stream.read_exact(&mut request).await?;
    }
}

/// Signs certificates for workloads, for ever.
#[derive(Debug, Args)]
pub(crate) struct Certify {
    /// Where.
    listen: SocketAddr,
    /// The key of the authority, in PEM.
    key: PathBuf,
}

/// Runs the authority that a peer asks which takes no folder.
///
/// # Errors
///
/// When it cannot listen.
pub(crate) fn certify(certify: &Certify) -> io::Result<()> {
    let key = std::fs::read_to_string(&certify.key)?;
    block_on(async {
        let listener = TcpListener::bind(certify.listen).await?;
        say("listening")?;
        ambient_testkit::certify(listener, Authority::again(AUTHORITY, &key)).await;
        Ok(())
    })
}

/// Runs the client: says `begin` when it measures, and then what it has measured.
///
/// # Errors
///
/// When it is not answered.
pub(crate) fn ask(ask: &Ask) -> io::Result<()> {
    let figures = block_on(asking(ask))?;
    say(&figures.line())
}

fn say(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

async fn asking(ask: &Ask) -> io::Result<Figures> {
    let mut streams = Vec::new();
    if matches!(ask.mode, Mode::Paced | Mode::Fast | Mode::Hold) {
        for _ in 0..ask.connections {
            let mut stream = connect(ask.server).await?;
            // A connection is there when it has been answered.
            exchange(&mut stream, b'r').await?;
            streams.push(stream);
        }
    }
    let start = Instant::now() + WARM_UP;
    let end = start + Duration::from_millis(ask.milliseconds);
    let mut clients = JoinSet::new();
    for number in 0..ask.connections {
        let stream = streams.pop();
        clients.spawn(client(
            ask.mode,
            ask.server,
            stream,
            number,
            ask.connections,
            (start, end),
        ));
    }
    sleep_until(start).await;
    say("begin")?;
    let mut latencies = Vec::new();
    let mut octets = 0;
    while let Some(ended) = clients.join_next().await {
        let (times, carried) = ended.map_err(io::Error::other)??;
        latencies.extend(times);
        octets += carried;
    }
    latencies.sort_unstable();
    let percentile = |percent: usize| {
        let place = latencies.len() * percent / 100;
        latencies.get(place).copied().unwrap_or_default()
    };
    Ok(Figures {
        answered: latencies.len() as u64,
        octets,
        took: start.elapsed(),
        p50: percentile(50),
        p90: percentile(90),
        p99: percentile(99),
    })
}

type Measured = (Vec<Duration>, u64);

/// One connection after the other, or one that stays.
async fn client(
    mode: Mode,
    server: SocketAddr,
    stream: Option<TcpStream>,
    number: u32,
    of: u32,
    (start, end): (Instant, Instant),
) -> io::Result<Measured> {
    let mut times = Vec::new();
    if mode == Mode::Bulk {
        return Ok((times, bulk(server, start, end).await?));
    }
    // Those of all connections together are spread evenly.
    let period = Duration::from_secs(1) * of / RATE;
    let mut due = start - WARM_UP + period * number / of;
    let mut stream = stream;
    while Instant::now() < end {
        let begun = match mode {
            Mode::Hold => {
                sleep_until(end).await;
                break;
            }
            Mode::Paced => {
                sleep_until(due).await;
                due += period;
                // Not from when it was due: timers come up to a millisecond late, which is more than
                // there is to measure.
                Instant::now()
            }
            Mode::Fast | Mode::Connect | Mode::Bulk => Instant::now(),
        };
        if let Some(stream) = &mut stream {
            exchange(stream, b'r').await?;
        } else {
            let mut stream = connect(server).await?;
            exchange(&mut stream, b'c').await?;
            // Who is closed first has no port that has to rest.
            if stream.read(&mut [0]).await? > 0 {
                return Err(io::Error::other("more came than was asked for"));
            }
        }
        if begun >= start {
            times.push(begun.elapsed());
        }
    }
    Ok((times, 0))
}

/// Sends until the end, and gives the octets that arrived for the time that is measured.
async fn bulk(server: SocketAddr, start: Instant, end: Instant) -> io::Result<u64> {
    let mut stream = connect(server).await?;
    let piece = vec![b'b'; PIECE];
    let mut before = 0_u64;
    while Instant::now() < end {
        stream.write_all(&piece).await?;
        if Instant::now() < start {
            before += PIECE as u64;
        }
    }
    stream.shutdown().await?;
    let mut count = [0; 8];
    stream.read_exact(&mut count).await?;
    let arrived = u64::from_be_bytes(count) + REQUEST as u64;
    Ok(arrived.saturating_sub(before))
}

async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn exchange(stream: &mut TcpStream, kind: u8) -> io::Result<()> {
    stream.write_all(&[kind; REQUEST]).await?;
    stream.read_exact(&mut [0; ANSWER]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_survive_the_way_from_one_process_to_the_other() {
        let figures = Figures {
            answered: 7,
            octets: u64::MAX,
            took: Duration::from_secs(2),
            p50: Duration::from_nanos(1),
            p90: Duration::from_micros(98),
            p99: Duration::from_micros(99),
        };
        assert_eq!(Figures::read(&figures.line()), Some(figures));
        for other in ["", "begin", "1 2 3 4", "1 2 3 4 x"] {
            assert_eq!(Figures::read(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn every_mode_is_answered_and_measured() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream));
            }
        });
        for mode in [
            Mode::Paced,
            Mode::Fast,
            Mode::Connect,
            Mode::Bulk,
            Mode::Hold,
        ] {
            let ask = Ask {
                server,
                mode,
                connections: 4,
                milliseconds: 200,
            };
            let figures = asking(&ask).await.unwrap();
            assert!(
                figures.took >= Duration::from_millis(200),
                "{mode:?} {figures:?}"
            );
            let (answers, octets) = match mode {
                // Two hundred are due; a machine that is busy answers later, and not fewer.
                Mode::Paced => (150..=210, 0..=0),
                Mode::Fast | Mode::Connect => (10..=u64::MAX, 0..=0),
                Mode::Bulk => (0..=0, 1_000_000..=u64::MAX),
                Mode::Hold => (0..=0, 0..=0),
            };
            assert!(answers.contains(&figures.answered), "{mode:?} {figures:?}");
            assert!(octets.contains(&figures.octets), "{mode:?} {figures:?}");
        }
    }
}
