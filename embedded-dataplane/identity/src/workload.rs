//! TLS as a workload makes it: both ends show a certificate, and each knows whom to expect.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ambient_facts::tunnel::ALPN;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, Error, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::certificate::Certificate;
use crate::chain::Usage;
use crate::clock::Clock;
use crate::credentials::{Credentials, Issued};
use crate::fault::{PeerFault, TlsFault, listed};
use crate::peer::{Evidence, Peer};
use crate::provider::TlsPolicy;
use crate::spiffe::SpiffeId;
use crate::trust::{Belief, Beliefs, Trust};
use crate::verify::{Clients, Servers, fault_of};

/// How long a client that is refused may take to end its stream.
const FAREWELL: Duration = Duration::from_millis(500);

/// Octets that TLS takes before the socket takes any. With the 64 KiB that the library has, a frame
/// as long as four records and its header would leave the last octets for a record of their own, in
/// a system call of its own.
const UNSENT: usize = 80 << 10;

/// The most octets that are taken of it until then.
const FAREWELL_OCTETS: u64 = 64 * 1024;

/// A TLS stream to a client.
pub type Accepted<S> = server::TlsStream<S>;

/// A TLS stream to a server.
pub type Connected<S> = client::TlsStream<S>;

/// A workload with its certificate, ready to make connections.
///
/// What TLS needs is set up once with the certificate, and not with every handshake. Roots and
/// revocations are looked up in [`Trust`] by each handshake, so they are never out of date in here.
pub struct Workload {
    identity: SpiffeId,
    credentials: Credentials,
    trust: Arc<Trust>,
    clock: Clock,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    /// The roots that came with the certificate are believed as long as it is used.
    _belief: Belief,
}

/// What is the same for all workloads of a process.
#[derive(Debug, Clone, Copy, Default)]
pub struct TlsOptions {
    /// What TLS may be made of.
    pub policy: TlsPolicy,
    /// What certificates are valid by.
    pub clock: Clock,
}

/// A certificate cannot be used for a workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// It is for somebody else.
    #[error("the certificate is for {}, and not for `{identity}`", listed(seen))]
    Identity {
        /// The workload.
        identity: SpiffeId,
        /// Whom the certificate names.
        seen: Vec<String>,
    },
    /// TLS cannot be set up, in the words of the library.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// A handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// This end refuses the peer.
    #[error(transparent)]
    Peer(PeerFault),
    /// The peer refuses, or there is no way to speak with it.
    #[error(transparent)]
    Tls(TlsFault),
    /// The connection broke.
    #[error("the connection broke during the handshake")]
    Io(#[source] io::Error),
}

impl Workload {
    /// Sets up TLS for a workload with what an authority gave to it.
    ///
    /// # Errors
    ///
    /// When the certificate does not name the workload.
    pub fn new(
        identity: &SpiffeId,
        issued: &Issued,
        trust: &Arc<Trust>,
        options: TlsOptions,
    ) -> Result<Self, WorkloadError> {
        let certificate = issued.credentials.certificate();
        if !certificate.identities().any(|id| id == *identity) {
            return Err(WorkloadError::Identity {
                identity: identity.clone(),
                seen: certificate.uris.clone(),
            });
        }
        let tls = |error: Error| WorkloadError::Tls(error.to_string());
        Ok(Self {
            server: Arc::new(server(identity, issued, trust, options).map_err(tls)?),
            client: Arc::new(client(issued, trust, options).map_err(tls)?),
            identity: identity.clone(),
            credentials: issued.credentials.clone(),
            trust: Arc::clone(trust),
            clock: options.clock,
            _belief: trust.believe(&issued.roots),
        })
    }

    /// Who it is.
    pub fn identity(&self) -> &SpiffeId {
        &self.identity
    }

    /// Whether a peer that believes the same as this process believes this workload, as a client and as
    /// a server. Its own roots may do without whoever issued its certificate, for others that believe
    /// more; mostly it is a mistake.
    ///
    /// # Errors
    ///
    /// Why such a peer does not.
    pub fn check(&self) -> Result<(), PeerFault> {
        let (chain, now) = (&self.credentials.key.cert, self.clock.now());
        self.trust.check(chain, Usage::Client, now)?;
        self.trust.check(chain, Usage::Server, now)
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        self.credentials.certificate()
    }

    /// Makes TLS as the server. The client has to show a certificate that leads to a root and is for
    /// an identity in the trust domain of this one, or in an alias of it.
    ///
    /// The caller bounds the time. A client that is refused has half a second of it to read why.
    ///
    /// # Errors
    ///
    /// When the client is refused, or refuses, or breaks off.
    pub async fn accept<S>(&self, stream: S) -> Result<(Accepted<S>, Peer), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let roots = self.trust.beliefs().anchors;
        let acceptor = TlsAcceptor::from(Arc::clone(&self.server));
        let mut stream = match acceptor.accept(stream).into_fallible().await {
            Ok(stream) => stream,
            Err((error, stream)) => {
                let error = HandshakeError::from(error);
                if !matches!(error, HandshakeError::Io(_)) {
                    _ = timeout(FAREWELL, part(stream)).await;
                }
                return Err(error);
            }
        };
        let (_, connection) = stream.get_mut();
        connection.set_buffer_limit(Some(UNSENT));
        let peer = self.peer(
            &roots,
            connection.peer_certificates(),
            Usage::Client,
            |_| true,
        )?;
        Ok((stream, peer))
    }

    /// Makes TLS as a client. The server has to show a certificate that leads to a root and is for
    /// one of the expected identities; names of hosts do not matter.
    ///
    /// The caller bounds the time.
    ///
    /// # Errors
    ///
    /// When the server is refused, or refuses, or breaks off. With TLS 1.3 a server tells that it
    /// refuses the client only after the handshake: the first read fails then, and
    /// [`TlsFault::of`] says why.
    pub async fn connect<S>(
        &self,
        stream: S,
        expected: Arc<BTreeSet<SpiffeId>>,
    ) -> Result<(Connected<S>, Peer), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // A copy shares everything that is expensive: only whom to expect differs.
        let mut config = ClientConfig::clone(&self.client);
        config
            .dangerous()
            .set_certificate_verifier(Arc::new(Servers {
                trust: Arc::clone(&self.trust),
                expected: Arc::clone(&expected),
            }));
        let roots = self.trust.beliefs().anchors;
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(nobody(), stream).await?;
        let (_, connection) = stream.get_mut();
        connection.set_buffer_limit(Some(UNSENT));
        let certificates = connection.peer_certificates();
        let peer = self.peer(&roots, certificates, Usage::Server, |id| {
            expected.contains(id)
        })?;
        Ok((stream, peer))
    }

    /// Who somebody is whom a handshake believed that began with these roots.
    fn peer(
        &self,
        roots: &Arc<[TrustAnchor<'static>]>,
        chain: Option<&[CertificateDer<'_>]>,
        usage: Usage,
        is_it: impl Fn(&SpiffeId) -> bool,
    ) -> Result<Peer, PeerFault> {
        let chain = chain.unwrap_or_default();
        let chain: Vec<_> = chain.iter().map(|c| c.clone().into_owned()).collect();
        let Beliefs { anchors, lists } = self.trust.beliefs();
        if !Arc::ptr_eq(roots, &anchors) {
            // Which of both were believed by is not known.
            lists.check(&chain, &anchors, usage, self.clock.now())?;
        }
        let own = chain.first().and_then(|own| Certificate::read(own).ok());
        let identity = own.and_then(|own| own.identities().find(is_it));
        let evidence = Evidence {
            chain,
            anchors,
            usage,
            at: self.clock.now(),
            clock: self.clock,
        };
        // The verifier saw to it that there is one.
        let identity = identity.ok_or(PeerFault::NoCertificate)?;
        Ok(Peer::new(identity, evidence))
    }
}

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workload")
            .field("identity", &self.identity)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
        match inner.and_then(fault_of) {
            Some(fault) => Self::Peer(fault),
            None => match TlsFault::of(&error) {
                Some(fault) => Self::Tls(fault),
                None => Self::Io(error),
            },
        }
    }
}

impl From<PeerFault> for HandshakeError {
    fn from(fault: PeerFault) -> Self {
        Self::Peer(fault)
    }
}

/// Ends a stream whose last octets say why, once the peer has ended it too. A socket that is closed
/// before all was read that came resets the connection, and the peer would not get to see them:
/// clients of TLS 1.3 send before they know whether they are let in.
async fn part<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(FAREWELL_OCTETS);
        _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
    }
}

/// The name that a server is given: it is in no message, because there is no SNI, and no verifier
/// looks at it (ztunnel `src/tls/workload.rs`, `OutboundConnector`).
fn nobody() -> ServerName<'static> {
    ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into())
}

fn server(
    identity: &SpiffeId,
    issued: &Issued,
    trust: &Arc<Trust>,
    options: TlsOptions,
) -> Result<ServerConfig, Error> {
    let clients = Clients {
        trust: Arc::clone(trust),
        domain: identity.trust_domain().to_owned(),
    };
    let key = SingleCertAndKey::from(Arc::clone(&issued.credentials.key));
    let provider = options.policy.provider();
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(options.clock))
        .with_protocol_versions(&options.policy.versions())?
        .with_client_cert_verifier(Arc::new(clients))
        .with_cert_resolver(Arc::new(key));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session is not verified again, so it would outlive a revocation. Without a place for
    // sessions there are no tickets either.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

fn client(issued: &Issued, trust: &Arc<Trust>, options: TlsOptions) -> Result<ClientConfig, Error> {
    let nobody = Servers {
        trust: Arc::clone(trust),
        expected: Arc::default(),
    };
    let key = SingleCertAndKey::from(Arc::clone(&issued.credentials.key));
    let provider = options.policy.provider();
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(options.clock))
        .with_protocol_versions(&options.policy.versions())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(nobody))
        .with_client_cert_resolver(Arc::new(key));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    Ok(config)
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.now())
    }
}

#[cfg(test)]
mod tests;
