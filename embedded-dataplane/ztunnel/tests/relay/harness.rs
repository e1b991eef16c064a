//! A mesh of relays on addresses of the loopback interface that no other test has.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ambient_identity::{
    Clock, Credentials, FetchError, Issued, Pending, RevocationLists, Roots,
    Source as Certificates, SpiffeId, Store, StoreOptions, Trust,
};
use ambient_runtime::drain::{Drain, Left};
use ambient_runtime::tasks::Panics;
use ambient_testkit::{self as testkit, Details, Leaf, Validity};
use ambient_ztunnel::relay::{Known, Parts, Relay, Settings};
use ambient_ztunnel::snapshot::Snapshot;
use ambient_ztunnel::socket::{Destination, Listener, SocketOptions, Source};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::seen::Seen;

/// The client's, the server's, and the service's address, by the last octet.
pub(crate) const CLIENT: u8 = 1;
pub(crate) const SERVER: u8 = 2;
pub(crate) const SERVICE: u8 = 9;

/// Serial numbers of certificates, by their service accounts.
const NUMBERS: [(&str, u64); 2] = [("web", 4711), ("db", 4712)];

/// What is the same for all relays of a test.
pub(crate) struct Mesh {
    /// `127.A.B.` of the addresses.
    net: [u8; 2],
    snapshot: Snapshot,
    pub(crate) issuer: testkit::Authority,
    /// Threads of each relay beside that of the test.
    pub(crate) lanes: Vec<Handle>,
}

impl Mesh {
    /// `web` and `db` of namespace `shop`, and service `db`, of which ports 80 and 81 lead to these.
    pub(crate) fn new(ports: [u16; 2]) -> Self {
        Self::in_domain("cluster.local", ports)
    }

    /// The same where the client is of another trust domain.
    pub(crate) fn in_domain(domain_of_client: &str, [first, second]: [u16; 2]) -> Self {
        static TESTS: AtomicU8 = AtomicU8::new(1);
        // Other processes that test at this moment have other numbers, mostly.
        let process = std::process::id();
        let high = u8::try_from(process % 200).unwrap() + 10;
        let low = u8::try_from(process / 200 % 7).unwrap() * 35;
        let net = [high, low + TESTS.fetch_add(1, Ordering::Relaxed)];
        let [a, b] = net;
        let text = format!(
            "
workloads:
- {{uid: c//Pod/shop/web, name: web, namespace: shop, serviceAccount: web, protocol: HBONE,
   trustDomain: {domain_of_client}, workloadIps: [127.{a}.{b}.{CLIENT}], services: {{}}}}
- {{uid: c//Pod/shop/db, name: db, namespace: shop, serviceAccount: db, protocol: HBONE,
   workloadIps: [127.{a}.{b}.{SERVER}], services: {{shop/db.shop: {{80: {first}, 81: {second}}}}}}}
services:
- {{name: db, namespace: shop, hostname: db.shop, vips: [/127.{a}.{b}.{SERVICE}],
   ports: {{80: {first}, 81: {second}}}}}
"
        );
        let issuer = testkit::Authority::new("mesh");
        Self {
            net,
            snapshot: Snapshot::from_yaml("test".as_ref(), &text).unwrap(),
            issuer,
            lanes: Vec::new(),
        }
    }

    pub(crate) fn address(&self, last: u8) -> IpAddr {
        let [a, b] = self.net;
        Ipv4Addr::new(127, a, b, last).into()
    }

    pub(crate) fn at(&self, last: u8, port: u16) -> SocketAddr {
        (self.address(last), port).into()
    }

    pub(crate) fn settings(&self, own: u8) -> Settings {
        Settings {
            sockets: SocketOptions {
                source: Source::Relay,
                outbound: Some(self.address(own)),
                ..SocketOptions::default()
            },
            ..Settings::default()
        }
    }

    /// A relay for a workload.
    pub(crate) fn relay(&self, name: &str, settings: Settings) -> Running {
        let source = Held(self.issued(&self.identity(name)));
        self.relay_of(name, source, settings)
    }

    /// A relay whose certificate does not come.
    pub(crate) fn relay_without_certificate(&self, name: &str, settings: Settings) -> Running {
        self.relay_of(name, Never, settings)
    }

    fn relay_of(&self, name: &str, source: impl Certificates, settings: Settings) -> Running {
        let trust = Trust::new([]);
        let names = format!("shop/{name}/{name}").parse().unwrap();
        let known = Known::new(self.snapshot.clone(), &names).unwrap();
        let mut options = StoreOptions::default();
        options.tls.clock = Clock::of_tokio();
        let store = Arc::new(Store::start(source, Arc::clone(&trust), options));
        let (observer, seen) = Seen::new(self.net);
        let bug = Arc::clone(&observer.bug);
        let took = Arc::clone(&observer.took);
        let (drain, draining) = Drain::new();
        let panics = Panics::default();
        let (publish, known) = watch::channel(Arc::new(known));
        let parts = Parts {
            known,
            store,
            observer: Arc::new(observer),
            draining,
            panics: panics.clone(),
            lanes: self.lanes.clone(),
        };
        Running {
            relay: Relay::new(parts, settings.clone()).unwrap(),
            drain,
            trust,
            seen,
            panics,
            settings,
            took,
            bug,
            _publish: publish,
        }
    }

    pub(crate) fn identity(&self, account: &str) -> SpiffeId {
        let name = format!("shop/{account}/{account}").parse().unwrap();
        self.snapshot.workload(&name).unwrap().identity.clone()
    }

    /// A certificate. Those of one account have one number, by which they can be revoked.
    pub(crate) fn issued(&self, identity: &SpiffeId) -> Issued {
        self.issued_by(&self.issuer, identity)
    }

    /// The same of another issuer. Whom to believe stays the mesh's.
    pub(crate) fn issued_by(&self, issuer: &testkit::Authority, identity: &SpiffeId) -> Issued {
        let leaf = Leaf {
            uris: vec![identity.to_string()],
            ..Leaf::of("")
        };
        let details = Details {
            serial: number(identity.service_account()),
            ..Details::default()
        };
        let testkit::Issued { chain, key } = issuer.issue_with(&leaf, &details);
        Issued {
            credentials: Credentials::from_pem(chain.as_bytes(), key.as_bytes()).unwrap(),
            roots: Roots::from_pem(self.issuer.root().as_bytes()).unwrap(),
        }
    }

    /// Lists that revoke the certificates of an account.
    pub(crate) fn revocations(&self, account: &str) -> RevocationLists {
        let numbers: Vec<_> = number(account).into_iter().collect();
        let list = self.issuer.revoke(&numbers, Validity::Now);
        RevocationLists::read(list.as_bytes()).unwrap()
    }

    /// The server's relay, with its listener of tunnels.
    pub(crate) fn server(&self) -> Running {
        let server = self.relay("db", self.settings(SERVER));
        let address = self.at(SERVER, ambient_facts::ports::HBONE);
        server
            .relay
            .take_tunnels(server.listen(address, Destination::Local));
        server
    }

    /// The client's relay, with a listener that connects to this.
    pub(crate) fn client(&self, to: SocketAddr) -> (Running, SocketAddr) {
        let client = self.relay("web", self.settings(CLIENT));
        let listener = client.listen(self.at(CLIENT, 0), Destination::Fixed(to));
        let address = listener.local_addr().unwrap();
        client.relay.take_outbound(listener);
        (client, address)
    }

    /// An application at the server that nobody answers for: its backlog is full, with what comes
    /// beside it.
    pub(crate) async fn nobody_answers(&self) -> (socket2::Socket, TcpStream) {
        let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let full = full.unwrap();
        full.bind(&self.at(SERVER, 0).into()).unwrap();
        full.listen(0).unwrap();
        let to = full.local_addr().unwrap().as_socket().unwrap();
        (full, TcpStream::connect(to).await.unwrap())
    }

    /// An application.
    pub(crate) async fn application(&self) -> TcpListener {
        TcpListener::bind(self.at(SERVER, 0)).await.unwrap()
    }
}

/// The usual: a client and a server with a relay each, and an application behind the server's.
pub(crate) struct Path {
    pub(crate) mesh: Mesh,
    pub(crate) application: TcpListener,
    pub(crate) server: Running,
    pub(crate) client: Running,
    /// Where the client's relay is connected to.
    pub(crate) address: SocketAddr,
}

impl Path {
    pub(crate) async fn new() -> Self {
        Self::of(Mesh::new([1, 2])).await
    }

    pub(crate) async fn of(mesh: Mesh) -> Self {
        let application = mesh.application().await;
        let server = mesh.server();
        let (client, address) = mesh.client(application.local_addr().unwrap());
        Self {
            mesh,
            application,
            server,
            client,
            address,
        }
    }

    /// A connection: its end at the client, and that at the application.
    pub(crate) async fn connect(&self) -> (TcpStream, TcpStream) {
        let near = TcpStream::connect(self.address).await.unwrap();
        let (far, _) = soon(self.application.accept()).await.unwrap();
        (near, far)
    }
}

fn number(account: &str) -> Option<u64> {
    let found = NUMBERS.into_iter().find(|(name, _)| *name == account);
    found.map(|(_, number)| number)
}

/// A certificate that is there already.
struct Held(Issued);

impl Certificates for Held {
    fn fetch<'a>(&'a self, _: &'a SpiffeId) -> Pending<'a, Result<Issued, FetchError>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

/// A certificate that does not come.
struct Never;

impl Certificates for Never {
    fn fetch<'a>(&'a self, _: &'a SpiffeId) -> Pending<'a, Result<Issued, FetchError>> {
        Box::pin(std::future::pending())
    }
}

/// A relay that is running.
pub(crate) struct Running {
    pub(crate) relay: Relay,
    pub(crate) drain: Drain,
    trust: Arc<Trust>,
    pub(crate) seen: mpsc::UnboundedReceiver<String>,
    pub(crate) panics: Panics,
    settings: Settings,
    /// How long handshakes took that succeeded.
    pub(crate) took: Arc<Mutex<Vec<Duration>>>,
    /// A server whose octets meet a bug.
    pub(crate) bug: Arc<Mutex<Option<SocketAddr>>>,
    _publish: watch::Sender<Arc<Known>>,
}

impl Running {
    pub(crate) fn listen(&self, address: SocketAddr, destination: Destination) -> Listener {
        Listener::bind("test", address, destination, &self.settings.sockets).unwrap()
    }

    /// Drops it, but for what tells of it.
    pub(crate) fn dropped(self) -> (Drain, mpsc::UnboundedReceiver<String>) {
        let Self { drain, seen, .. } = self;
        (drain, seen)
    }

    /// Has revocation lists count, and tells how many connections they end.
    pub(crate) fn revoke(&self, lists: RevocationLists) -> usize {
        self.trust.revoke(lists)
    }

    /// Has clients be believed that this signed for, until what it returns is dropped.
    pub(crate) fn believe(&self, authority: &testkit::Authority) -> impl Sized + use<> {
        let roots = Roots::from_pem(authority.root().as_bytes()).unwrap();
        self.trust.believe(&roots)
    }

    /// The next thing that it tells of.
    pub(crate) async fn told(&mut self) -> String {
        soon(self.seen.recv()).await.unwrap()
    }

    /// So many things, sorted.
    pub(crate) async fn tells(&mut self, many: usize) -> String {
        let mut lines = Vec::new();
        for _ in 0..many {
            lines.push(self.told().await);
        }
        lines.sort();
        lines.join("\n")
    }

    pub(crate) async fn end(&self, within: Duration) -> Left {
        let left = self.drain.start(Instant::now() + within).await;
        assert_eq!(self.panics.count(), 0);
        left
    }
}

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let done = timeout(Duration::from_secs(20), what).await;
    done.expect("it does not take so long")
}

/// An application that sends back what it gets, for ever.
pub(crate) async fn echo(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let (mut reader, mut writer) = stream.split();
            _ = tokio::io::copy(&mut reader, &mut writer).await;
            _ = writer.shutdown().await;
        });
    }
}

/// Sends something, and takes what comes back until the end.
pub(crate) async fn exchange(address: SocketAddr, what: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(what).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await?;
    Ok(answer)
}
