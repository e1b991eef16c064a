//! Peers that do as they are told, on a port of the loopback address.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ambient_facts::tunnel::ALPN;
use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::{Response, StatusCode};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::Issued;

/// What a peer does on each connection.
#[derive(Clone)]
pub enum Script {
    /// Reads once, and closes.
    Close,
    /// Closes with RST.
    Abort,
    /// Says nothing, for ever.
    Silent,
    /// Reads once, and answers with these octets.
    Octets(Vec<u8>),
    /// TLS with this certificate.
    Tls {
        /// The certificate and key.
        issued: Issued,
        /// Its ALPN.
        protocols: Vec<Vec<u8>>,
        /// What it wants of its client.
        clients: ClientPolicy,
        /// What it does then.
        then: Secured,
    },
}

/// What a peer wants of the certificate of its client.
#[derive(Clone)]
pub enum ClientPolicy {
    /// Does not ask.
    NotAsked,
    /// Asks, and does without.
    Optional,
    /// Asks, and takes any.
    Required,
    /// Asks, and refuses each for this reason.
    Refused(CertificateError),
}

/// What a peer does in TLS.
#[derive(Clone)]
pub enum Secured {
    /// Says nothing, for ever.
    Silent,
    /// Closes.
    Close,
    /// Sends these octets, whatever they mean in HTTP/2.
    Octets(Vec<u8>),
    /// HTTP/2, where each CONNECT gets this.
    Http2(Tunnel),
}

/// What becomes of a CONNECT.
#[derive(Debug, Clone, Copy)]
pub enum Tunnel {
    /// This status.
    Status(u16),
    /// No answer.
    Silent,
    /// RST_STREAM.
    Reset,
    /// 200, and the end.
    Closed,
    /// 200, and everything comes back.
    Echo,
    /// 200, and what comes after some thousand octets is lost on the way.
    Stuck,
    /// 200, and these octets for the first that come, then the end.
    Answer(&'static str),
    /// 200, and the first octets come back as they were; the one at this place comes back changed.
    Changed(usize),
    /// 200, and so many octets come back, then the end.
    Cut(usize),
    /// 200, and so many octets come back, and no more.
    Half(usize),
    /// 200, and DATA frames of one octet as fast as they can be sent.
    Flood,
}

/// A peer that runs until it is dropped.
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    /// Starts a peer.
    pub async fn start(script: Script) -> Self {
        Self::start_turns(vec![script]).await
    }

    /// Starts a peer that takes turns: the first script for the first connection, and so on.
    pub async fn start_turns(scripts: Vec<Script>) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, scripts).await
    }

    /// Starts a peer that takes turns on a port of this address; the unspecified one stands for all
    /// of this host.
    pub async fn start_at(address: Ipv4Addr, scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let players: Vec<Player> = scripts.into_iter().map(Player::new).collect();
        let task = tokio::spawn(async move {
            for player in players.iter().cycle() {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(player.clone().play(stream));
            }
        });
        Self { address, task }
    }
}

/// What plays a script on one stream after the other.
#[derive(Clone)]
pub struct Player {
    script: Arc<Script>,
    /// Made once: keys take time to read.
    acceptor: Option<TlsAcceptor>,
}

impl Player {
    /// Gets ready to play.
    pub fn new(script: Script) -> Self {
        let acceptor = match &script {
            Script::Tls {
                issued,
                protocols,
                clients,
                ..
            } => Some(TlsAcceptor::from(config(issued, protocols, clients))),
            _ => None,
        };
        Self {
            script: Arc::new(script),
            acceptor,
        }
    }

    /// Plays the script on a stream, to its end.
    pub async fn play<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, mut stream: S) {
        let mut scratch = [0; 4096];
        match &*self.script {
            Script::Close => _ = stream.read(&mut scratch).await,
            Script::Abort => {
                // What was not read makes the kernel answer with RST.
                _ = stream.read_u8().await;
            }
            Script::Silent => std::future::pending().await,
            Script::Octets(octets) => {
                _ = stream.read(&mut scratch).await;
                _ = stream.write_all(octets).await;
                _ = stream.shutdown().await;
                while matches!(stream.read(&mut scratch).await, Ok(1..)) {}
            }
            Script::Tls { then, .. } => {
                let acceptor = self.acceptor.unwrap();
                if let Ok(stream) = acceptor.accept(stream).await {
                    secured(stream, then).await;
                }
            }
        }
    }
}

async fn secured<S>(mut stream: TlsStream<S>, then: &Secured)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut scratch = [0; 4096];
    match then {
        Secured::Silent => std::future::pending().await,
        Secured::Close => {
            _ = stream.read(&mut scratch).await;
            _ = stream.shutdown().await;
        }
        Secured::Octets(octets) => {
            _ = stream.write_all(octets).await;
            _ = stream.flush().await;
            while matches!(stream.read(&mut scratch).await, Ok(1..)) {}
        }
        Secured::Http2(tunnel) => http2(stream, *tunnel).await,
    }
}

async fn http2<S>(stream: TlsStream<S>, tunnel: Tunnel)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let most = match tunnel {
        Tunnel::Stuck => 4000,
        _ => u64::MAX,
    };
    // What comes after them never comes, and so does the end.
    let (nothing, _held) = tokio::io::simplex(1);
    let (reader, writer) = tokio::io::split(stream);
    let stream = tokio::io::join(reader.take(most).chain(nothing), writer);
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    let mut held = Vec::new();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let open = || Response::new(());
        match tunnel {
            Tunnel::Status(status) => {
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                _ = respond.send_response(response, true);
            }
            Tunnel::Silent => held.push((request, respond)),
            Tunnel::Reset => respond.send_reset(h2::Reason::INTERNAL_ERROR),
            Tunnel::Closed => _ = respond.send_response(open(), true),
            _ => {
                let Ok(send) = respond.send_response(open(), false) else {
                    return;
                };
                tokio::spawn(application(tunnel, request.into_body(), send));
            }
        }
    }
}

/// The application behind an open tunnel.
async fn application(tunnel: Tunnel, mut receive: RecvStream, mut send: SendStream<Bytes>) {
    let mut came = 0;
    while let Tunnel::Flood = tunnel {
        // The window of HTTP/2 bounds how much there is.
        send.reserve_capacity(60_000);
        let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await;
        let Some(Ok(room)) = room else { return };
        for _ in 0..room {
            if send.send_data(Bytes::from_static(b"."), false).is_err() {
                return;
            }
        }
        // Who sends it has to have a turn.
        tokio::task::yield_now().await;
    }
    while let Some(Ok(octets)) = receive.data().await {
        _ = receive.flow_control().release_capacity(octets.len());
        let mut octets = octets.to_vec();
        match tunnel {
            Tunnel::Answer(answer) => {
                _ = send.send_data(Bytes::from_static(answer.as_bytes()), true);
                while let Some(Ok(octets)) = receive.data().await {
                    _ = receive.flow_control().release_capacity(octets.len());
                }
                return;
            }
            Tunnel::Changed(place) if (came..came + octets.len()).contains(&place) => {
                octets[place - came] ^= 1;
            }
            Tunnel::Cut(most) | Tunnel::Half(most) => octets.truncate(most - came.min(most)),
            _ => {}
        }
        came += octets.len();
        let is_cut = matches!(tunnel, Tunnel::Cut(most) if came >= most);
        _ = send.send_data(octets.into(), is_cut);
        if is_cut {
            break;
        }
    }
    _ = send.send_data(Bytes::new(), true);
}

fn config(issued: &Issued, protocols: &[Vec<u8>], clients: &ClientPolicy) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(issued.chain.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap();
    let builder = match clients {
        ClientPolicy::NotAsked => builder.with_no_client_auth(),
        other => builder.with_client_cert_verifier(Arc::new(Verifier(other.clone()))),
    };
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = protocols.to_vec();
    Arc::new(config)
}

impl Script {
    /// A peer as it should be: a certificate, ALPN, and a certificate required of its client.
    pub fn tls(issued: &Issued, clients: ClientPolicy, then: Secured) -> Self {
        Self::Tls {
            issued: issued.clone(),
            protocols: vec![ALPN.to_vec()],
            clients,
            then,
        }
    }
}

#[derive(Clone)]
struct Verifier(ClientPolicy);

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        !matches!(self.0, ClientPolicy::Optional)
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match &self.0 {
            ClientPolicy::Refused(error) => Err(error.clone().into()),
            _ => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
