//! What a probe does to a peer, each act with what it takes for granted.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ambient_hbone::{Answer, Connection, Fault, Tunnel, Watched, dial};
use ambient_identity::{Credentials, Inspection, Inspector, Secured};
use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::judge::{self, Verdict};
use super::{Address, Cause};

/// How long an application may take to close a tunnel that nothing was sent through, or to send
/// something back.
const GRACE: Duration = Duration::from_millis(100);

/// A secured connection to a peer.
pub(super) type Stream = Secured<Watched<TcpStream>>;

pub(super) async fn resolve(
    address: &Address,
    limit: Duration,
) -> Result<(Vec<SocketAddr>, String), Verdict> {
    let failed = |detail| Verdict {
        cause: Cause::ResolveFailed,
        detail,
    };
    if let Ok(ip) = address.host.parse() {
        return Ok((
            vec![SocketAddr::new(ip, address.port)],
            "it is an address".to_owned(),
        ));
    }
    let name = (address.host.as_str(), address.port);
    let found = timeout(limit, tokio::net::lookup_host(name)).await;
    let found: Vec<SocketAddr> = match found {
        Err(_) => return Err(judge::late(Cause::ResolveFailed, limit)),
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Ok(Ok(found)) => found.collect(),
    };
    if found.is_empty() {
        return Err(failed("the name has no address".to_owned()));
    }
    let listed: Vec<_> = found.iter().map(|a| a.ip().to_string()).collect();
    Ok((found, listed.join(", ")))
}

/// Connects to the first candidate that takes the connection; each has its share of the time.
pub(super) async fn connect_any(
    candidates: Vec<SocketAddr>,
    limit: Duration,
) -> Result<((SocketAddr, TcpStream), String), Verdict> {
    let share = limit / u32::try_from(candidates.len()).unwrap_or(u32::MAX).max(1);
    let mut first = None;
    for to in candidates {
        match timeout(share, dial(to)).await {
            Ok(Ok(stream)) => return Ok(((to, stream), to.to_string())),
            Ok(Err(fault)) => first.get_or_insert(judge::dial(to, &fault)),
            Err(_) => first.get_or_insert(judge::late(Cause::ConnectTimeout, share)),
        };
    }
    Err(first.unwrap_or_else(|| judge::late(Cause::ConnectTimeout, limit)))
}

pub(super) async fn secure(
    stream: TcpStream,
    credentials: Option<&Credentials>,
    limit: Duration,
) -> Result<((Stream, Inspection), String), Verdict> {
    let (stream, look) = Watched::new(stream);
    let inspector = Inspector::new(credentials).map_err(|error| Verdict {
        cause: Cause::TlsNoCommonParameters,
        detail: error.to_string(),
    })?;
    match timeout(limit, inspector.connect(stream)).await {
        Err(_) => {
            let mut verdict = judge::late(Cause::TlsStalled, limit);
            verdict.detail = format!("{}, {} octets came", verdict.detail, look().received);
            Err(verdict)
        }
        Ok(Err(error)) => Err(judge::handshake(&error, &look())),
        Ok(Ok((stream, inspection))) => {
            let protocol = inspection.protocol.as_deref().unwrap_or("none");
            let detail = format!(
                "{}, {}, {}, ALPN {protocol}",
                inspection.version, inspection.suite, inspection.group
            );
            Ok(((stream, inspection), detail))
        }
    }
}

pub(super) async fn ask(
    connection: &mut Connection,
    target: SocketAddr,
    limit: Duration,
) -> Result<(Tunnel, String), Verdict> {
    match timeout(limit, connection.connect(target)).await {
        Err(_) => Err(judge::late(Cause::ConnectStalled, limit)),
        Ok(Ok(Answer::Open(tunnel))) => Ok((tunnel, format!("status 200 for {target}"))),
        Ok(Ok(Answer::Refused(status))) => Err(judge::status(status.as_u16())),
        Ok(Err(fault)) => Err(judge::tunnel(&fault)),
    }
}

/// Sends octets of each size, followed by a PING: its answer proves that they arrived. Nothing is
/// sent where no size is given: an application may do anything on what it gets.
pub(super) async fn carry(
    connection: &mut Connection,
    tunnel: &mut Tunnel,
    sizes: &[usize],
    limit: Duration,
) -> Result<((), String), Verdict> {
    if sizes.is_empty() {
        let started = Instant::now();
        return match timeout(GRACE.min(limit), tunnel.halves().1.receive()).await {
            Err(_) => Ok(((), "the tunnel stays open; nothing was sent".to_owned())),
            Ok(Ok(Some(octets))) => Ok(((), format!("{} octets came", octets.len()))),
            Ok(Ok(None)) => Err(judge::closed(started.elapsed())),
            Ok(Err(fault)) => Err(judge::tunnel(&fault)),
        };
    }
    let mut told = Vec::new();
    for &size in sizes {
        let started = Instant::now();
        let mut came = 0;
        let passed = timeout(limit, pass(connection, tunnel, size, &mut came)).await;
        match passed {
            Err(_) => {
                let mut verdict = judge::late(Cause::DataStalled, limit);
                verdict.detail = format!("{size} octets: {}", verdict.detail);
                return Err(verdict);
            }
            Ok(Err(Ended::Closed)) if came == 0 => return Err(judge::closed(started.elapsed())),
            Ok(Err(Ended::Closed)) => {
                told.push(format!(
                    "{size} octets: {came} came back, and the stream ended"
                ));
                break;
            }
            Ok(Err(Ended::Fault(fault))) => return Err(judge::tunnel(&fault)),
            Ok(Ok(time)) => told.push(format!("{size} octets in {time:.1?}, {came} came back")),
        }
    }
    Ok(((), told.join("; ")))
}

enum Ended {
    Closed,
    Fault(Fault),
}

/// Sends octets and waits until they have arrived, while what comes back is taken and counted.
async fn pass(
    connection: &mut Connection,
    tunnel: &mut Tunnel,
    size: usize,
    came: &mut usize,
) -> Result<Duration, Ended> {
    let started = Instant::now();
    let (mut sender, mut receiver) = tunnel.halves();
    let send = async {
        sender.send(Bytes::from(vec![b'.'; size])).await?;
        connection.settle().await?;
        Ok::<_, Fault>(started.elapsed())
    };
    let receive = async {
        while *came < size {
            match receiver.receive().await {
                Ok(Some(octets)) => *came += octets.len(),
                Ok(None) => return Err(Ended::Closed),
                Err(fault) => return Err(Ended::Fault(fault)),
            }
        }
        Ok(())
    };
    tokio::pin!(send, receive);
    let mut arrived = None;
    let mut is_echo = false;
    loop {
        tokio::select! {
            time = &mut send, if arrived.is_none() => {
                arrived = Some(time.map_err(Ended::Fault)?);
            }
            ended = &mut receive, if !is_echo => {
                ended?;
                is_echo = true;
            }
            // What the application answers is on its way.
            () = sleep(GRACE), if arrived.is_some() && !is_echo => break,
            else => break,
        }
    }
    Ok(arrived.unwrap_or_else(|| started.elapsed()))
}
