mod farewell;
mod parting;

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use ambient_hbone::headers::{Baggage, Headers};
use ambient_hbone::limits::Limits;
use ambient_hbone::server::{self, Incoming};
use ambient_hbone::stream::Stream;
use ambient_hbone::tunnel;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// Octets that were passed on, by the side that sent them.
#[derive(Default)]
struct Counts(Mutex<[u64; 2]>);

impl Meter for Counts {
    fn passed(&self, from: Side, octets: u64) {
        let mut counts = self.0.lock().unwrap();
        counts[usize::from(from == Side::Server)] += octets;
    }
}

type Outcome = (Ending, [u64; 2]);

/// Two applications with relays between, which tell what they came to: one that copies in the clear,
/// or two with a tunnel between.
struct Path {
    client: TcpStream,
    server: TcpStream,
    relays: Vec<JoinHandle<Outcome>>,
}

async fn copied(client: impl Endpoint, server: impl Endpoint, counts: &Counts) -> Ending {
    copied_with(LINGER, client, server, counts).await
}

async fn copied_with(
    linger: Duration,
    client: impl Endpoint,
    server: impl Endpoint,
    counts: &Counts,
) -> Ending {
    let never = std::future::pending::<()>();
    let outcome = copy_with(linger, client, server, counts, never).await;
    outcome.unwrap_or_else(|()| panic!("nothing else ends it"))
}

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), server.unwrap().0)
}

/// Both ends of a stream, through HTTP/2 that is driven as long as the test runs.
async fn tunnelled() -> (Stream, Stream) {
    let (near, far) = duplex(1 << 16);
    let accepting = tokio::spawn(async move {
        let mut connection = server::accept(far, &Limits::SERVER).await.unwrap();
        let Some(Incoming::Connect(request)) = connection.next().await.unwrap() else {
            panic!("no CONNECT");
        };
        let stream = request.accept(&Baggage::default()).unwrap();
        tokio::spawn(async move { while let Ok(Some(_)) = connection.next().await {} });
        stream
    });
    let (tunnel, driver) = tunnel::open(near, &Limits::CLIENT).await.unwrap();
    tokio::spawn(driver);
    let target = "10.0.0.1:80".parse().unwrap();
    let place = tunnel.reserve().unwrap();
    let opened = place.connect(&target, &Headers::default()).await.unwrap();
    (opened.stream, accepting.await.unwrap())
}

impl Path {
    async fn plain(linger: Duration) -> Self {
        let (client, near) = connected().await;
        let (far, server) = connected().await;
        let relay = tokio::spawn(async move {
            let counts = Counts::default();
            let ending = copied_with(linger, Tcp::new(&near), Tcp::new(&far), &counts).await;
            (ending, counts.0.into_inner().unwrap())
        });
        Self {
            client,
            server,
            relays: vec![relay],
        }
    }

    async fn through_a_tunnel(linger: Duration) -> Self {
        let (client, near) = connected().await;
        let (far, server) = connected().await;
        let (mut up, mut down) = tunnelled().await;
        let outbound = tokio::spawn(async move {
            let counts = Counts::default();
            let ending =
                copied_with(linger, Tcp::new(&near), Tunnelled::new(&mut up), &counts).await;
            (ending, counts.0.into_inner().unwrap())
        });
        let inbound = tokio::spawn(async move {
            let counts = Counts::default();
            let ending =
                copied_with(linger, Tunnelled::new(&mut down), Tcp::new(&far), &counts).await;
            (ending, counts.0.into_inner().unwrap())
        });
        Self {
            client,
            server,
            relays: vec![outbound, inbound],
        }
    }

    async fn each() -> [Self; 2] {
        Self::each_with(LINGER).await
    }

    async fn each_with(linger: Duration) -> [Self; 2] {
        [
            Self::plain(linger).await,
            Self::through_a_tunnel(linger).await,
        ]
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    let done = timeout(Duration::from_secs(20), what).await;
    done.expect("it does not take so long")
}

async fn all(relays: Vec<JoinHandle<Outcome>>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for relay in relays {
        outcomes.push(soon(relay).await.unwrap());
    }
    outcomes
}

fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

/// What is read to the end, or to the failure.
async fn rest(stream: &mut TcpStream) -> Result<Vec<u8>, io::ErrorKind> {
    let mut octets = Vec::new();
    let read = soon(stream.read_to_end(&mut octets)).await;
    read.map(|_| octets).map_err(|error| error.kind())
}

#[tokio::test]
async fn each_direction_finishes_on_its_own() {
    for mut path in Path::each().await {
        path.client.write_all(b"question").await.unwrap();
        path.client.shutdown().await.unwrap();
        assert_eq!(rest(&mut path.server).await.unwrap(), b"question");
        path.server.write_all(b"a long answer").await.unwrap();
        path.server.shutdown().await.unwrap();
        assert_eq!(rest(&mut path.client).await.unwrap(), b"a long answer");
        let whole = (Ending::Finished(Side::Client), [8, 13]);
        for outcome in all(path.relays).await {
            assert_eq!(outcome, whole);
        }
    }
}

#[tokio::test]
async fn a_server_that_finishes_first_may_still_be_sent_to() {
    for mut path in Path::each().await {
        path.server.shutdown().await.unwrap();
        assert_eq!(rest(&mut path.client).await.unwrap(), b"");
        path.client.write_all(b"late").await.unwrap();
        path.client.shutdown().await.unwrap();
        assert_eq!(rest(&mut path.server).await.unwrap(), b"late");
        for outcome in all(path.relays).await {
            assert_eq!(outcome, (Ending::Finished(Side::Server), [4, 0]));
        }
    }
}

#[tokio::test]
async fn much_data_arrives_whole_in_both_directions_at_once() {
    const LENGTH: usize = 3_000_001;
    let octets = |seed: usize| -> Vec<u8> {
        let all = (0..LENGTH).map(|n| u8::try_from((n * 31 + n / 251 + seed) % 256).unwrap());
        all.collect()
    };
    for path in Path::each().await {
        let exchange = |stream: TcpStream, seed: usize| async move {
            let (mut reader, mut writer) = stream.into_split();
            let sent = octets(seed);
            let writing = tokio::spawn(async move {
                writer.write_all(&sent).await.unwrap();
                writer.shutdown().await.unwrap();
            });
            let mut got = Vec::new();
            reader.read_to_end(&mut got).await.unwrap();
            writing.await.unwrap();
            got
        };
        let (at_client, at_server) =
            soon(async { tokio::join!(exchange(path.client, 1), exchange(path.server, 2)) }).await;
        assert!(at_client == octets(2) && at_server == octets(1));
        for (ending, counts) in all(path.relays).await {
            assert!(matches!(ending, Ending::Finished(_)), "{ending:?}");
            assert_eq!(counts, [LENGTH as u64; 2]);
        }
    }
}

#[tokio::test]
async fn w17_what_breaks_off_at_one_end_breaks_off_at_the_other() {
    for mut path in Path::each().await {
        path.client.write_all(b"half of it").await.unwrap();
        let mut seen = [0; 10];
        soon(path.server.read_exact(&mut seen)).await.unwrap();
        reset(path.client);
        assert_eq!(
            rest(&mut path.server).await,
            Err(io::ErrorKind::ConnectionReset)
        );
        for outcome in all(path.relays).await {
            assert_eq!(outcome, (Ending::Reset(Side::Client), [10, 0]));
        }
    }
    for mut path in Path::each().await {
        path.server.write_all(b"half of it").await.unwrap();
        let mut seen = [0; 10];
        soon(path.client.read_exact(&mut seen)).await.unwrap();
        reset(path.server);
        assert_eq!(
            rest(&mut path.client).await,
            Err(io::ErrorKind::ConnectionReset)
        );
        for outcome in all(path.relays).await {
            assert_eq!(outcome, (Ending::Reset(Side::Server), [0, 10]));
        }
    }
}

#[tokio::test]
async fn who_breaks_off_after_it_finished_is_noticed_while_nobody_writes() {
    for mut path in Path::each().await {
        path.client.shutdown().await.unwrap();
        assert_eq!(rest(&mut path.server).await.unwrap(), b"");
        reset(path.client);
        assert_eq!(rest(&mut path.server).await, Ok(Vec::new()));
        // Reading says no more than before. Who has seen the end is told so (tcp(7), `EPIPE`).
        let told = soon(async {
            loop {
                if let Some(error) = path.server.take_error().unwrap() {
                    return error.kind();
                }
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(told.await, io::ErrorKind::BrokenPipe);
        for outcome in all(path.relays).await {
            assert_eq!(outcome, (Ending::Reset(Side::Client), [0, 0]));
        }
    }
}

#[tokio::test]
async fn who_breaks_off_while_the_other_does_not_read_is_noticed() {
    for mut path in Path::each_with(Duration::from_millis(300)).await {
        // As much as everything between takes.
        fill(&mut path.client).await;
        reset(path.client);
        for (ending, _) in all(path.relays).await {
            assert_eq!(ending, Ending::Reset(Side::Client));
        }
        drop(path.server);
    }
}

/// Sends until nobody takes more for a while, or at all.
async fn fill(stream: &mut TcpStream) {
    let chunk = vec![7; 1 << 16];
    while let Ok(Ok(())) = timeout(Duration::from_millis(300), stream.write_all(&chunk)).await {}
}

#[tokio::test]
async fn what_ends_everything_breaks_off_both_ends() {
    let (mut client, near) = connected().await;
    let (far, mut server) = connected().await;
    let counts = Counts::default();
    let end = std::future::ready("over");
    let outcome = copy(Tcp::new(&near), Tcp::new(&far), &counts, end).await;
    assert_eq!(outcome, Err("over"));
    drop((near, far));
    for end in [&mut client, &mut server] {
        assert_eq!(rest(end).await, Err(io::ErrorKind::ConnectionReset));
    }
}

#[tokio::test]
async fn a_task_that_is_dropped_breaks_off_both_ends() {
    for mut path in Path::each().await {
        path.client.write_all(b"half").await.unwrap();
        soon(path.server.read_exact(&mut [0; 4])).await.unwrap();
        for relay in &path.relays {
            relay.abort();
        }
        for end in [&mut path.client, &mut path.server] {
            assert_eq!(rest(end).await, Err(io::ErrorKind::ConnectionReset));
        }
    }
}
