//! The applications: a server that sends back what it gets, and its clients. And the log, as far as
//! it is looked at.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ambient_runtime::accept::Acceptor;
use ambient_runtime::tasks::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::DemoError;

/// The longest that a client waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many connections the server takes at once; more have to wait.
const MOST: usize = 256;

/// How many lines of the log are kept here.
const LINES: usize = 256;

/// Starts a server that sends back what it gets, and tells where.
pub(super) async fn serve(tasks: &Tasks, address: IpAddr) -> Result<SocketAddr, DemoError> {
    let listener = TcpListener::bind(SocketAddr::new(address, 0)).await;
    let listener = listener.map_err(|error| DemoError::Listen { address, error })?;
    let at = listener.local_addr();
    let at = at.map_err(|error| DemoError::Listen { address, error })?;
    // Listening goes well on a network that is down.
    let reached = timeout(PATIENCE, TcpStream::connect(at)).await;
    let reached = reached.unwrap_or_else(|late| Err(late.into()));
    reached.map_err(|error| DemoError::Reach { address, error })?;
    let mut acceptor = Acceptor::new(listener, "echo server");
    tasks.spawn("echo server", async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                (stream, _) = acceptor.accept(), if connections.len() < MOST => {
                    connections.spawn(echo(stream));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    });
    Ok(at)
}

async fn echo(mut stream: TcpStream) {
    let (mut read, mut write) = stream.split();
    // A client that leaves early is no concern of a server like this.
    _ = tokio::io::copy(&mut read, &mut write).await;
    _ = write.shutdown().await;
}

/// Sends octets, and takes the time until all of them are back.
pub(super) async fn exchange(at: Option<SocketAddr>, octets: &[u8]) -> Result<Duration, String> {
    let at = at.ok_or("there is nothing to connect to")?;
    let begun = Instant::now();
    let back = timeout(PATIENCE, send(at, octets)).await;
    let back = back.map_err(|_| "no answer came".to_owned())?;
    let back = back.map_err(|error| in_words(&error))?;
    if back == octets {
        Ok(begun.elapsed())
    } else {
        let (back, sent) = (back.len(), octets.len());
        Err(format!("{back} octets came back of {sent}, or others"))
    }
}

/// Whether a reset shows while it is written or while it is read is a matter of luck.
fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::NotConnected
        | io::ErrorKind::ConnectionReset => "the connection was reset".to_owned(),
        other => other.to_string(),
    }
}

async fn send(at: SocketAddr, octets: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(at).await?;
    let (mut read, mut write) = stream.split();
    let mut back = Vec::new();
    let sent = async {
        write.write_all(octets).await?;
        write.shutdown().await
    };
    tokio::try_join!(sent, async {
        read.read_to_end(&mut back).await.map(|_| ())
    })?;
    Ok(back)
}

/// The last lines of a log, beside the file that has all of them. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    whole: VecDeque<String>,
    rest: Vec<u8>,
}

impl Memory {
    /// Those of the last lines that hold all of these.
    pub(super) fn with(&self, parts: &[&str]) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |line: &&String| parts.iter().all(|part| line.contains(part));
        lines.whole.iter().filter(holds).cloned().collect()
    }
}

impl Write for Memory {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.rest.extend_from_slice(octets);
        while let Some(end) = lines.rest.iter().position(|octet| *octet == b'\n') {
            let line: Vec<u8> = lines.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if lines.whole.len() >= LINES {
                lines.whole.pop_front();
            }
            lines.whole.push_back(line);
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
