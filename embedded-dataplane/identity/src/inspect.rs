//! TLS as a client that wants to know whom it talks to, whoever that is.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ambient_facts::tunnel::ALPN;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Credentials;
use crate::provider::provider;

/// A TLS stream to an inspected peer.
pub type Secured<S> = TlsStream<S>;

/// Makes one TLS connection in the way of Istio's proxies: TLS 1.3 alone, ALPN `h2`, no server name.
///
/// Any certificate is taken, so that what is wrong with one can be told; that the peer has its key
/// is proved by the handshake. Nothing secret may be sent on such a connection before the
/// certificate was judged.
#[derive(Debug)]
pub struct Inspector {
    config: Arc<ClientConfig>,
    asked: Arc<AtomicBool>,
}

/// What a handshake shows of the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Its certificates, its own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The version of TLS, for example `TLS 1.3`.
    pub version: String,
    /// The cipher suite, by its name in the registry of IANA.
    pub suite: String,
    /// The group of the key exchange, by its name in the registry of IANA.
    pub group: String,
    /// The application protocol that it chose; `None` when it chose none.
    pub protocol: Option<String>,
    /// Whether it asked for a certificate of ours.
    pub asks_for_certificate: bool,
}

impl Inspector {
    /// With a certificate to show where the peer asks for one, or without.
    ///
    /// # Errors
    ///
    /// When the cryptography of the mesh cannot be set up.
    pub fn new(credentials: Option<&Credentials>) -> Result<Self, Error> {
        let asked = Arc::new(AtomicBool::new(false));
        let resolver = Noting {
            asked: Arc::clone(&asked),
            key: credentials.map(|c| Arc::clone(&c.key)),
        };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider())))
            .with_client_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        Ok(Self {
            config: Arc::new(config),
            asked,
        })
    }

    /// Makes the connection. The caller bounds the time.
    ///
    /// # Errors
    ///
    /// What the stream failed with; [`TlsFault::of`](crate::TlsFault::of) tells what TLS has to do
    /// with it.
    pub async fn connect<S>(self, stream: S) -> io::Result<(Secured<S>, Inspection)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // The name is in no message, because there is no SNI, and no verifier looks at it.
        let nobody = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        let connector = TlsConnector::from(self.config);
        let stream = connector.connect(nobody, stream).await?;
        let (_, connection) = stream.get_ref();
        let text = |value: Option<String>| value.unwrap_or_default();
        let version = connection.protocol_version();
        let suite = connection.negotiated_cipher_suite();
        let group = connection.negotiated_key_exchange_group();
        let chain = connection.peer_certificates().unwrap_or_default();
        let protocol = connection.alpn_protocol();
        let inspection = Inspection {
            chain: chain.iter().map(|c| c.clone().into_owned()).collect(),
            version: text(
                version.map(|v| format!("{v:?}").replace('_', ".").replace("TLSv", "TLS ")),
            ),
            suite: text(suite.map(|s| format!("{:?}", s.suite()).replace("TLS13_", "TLS_"))),
            group: text(group.map(|g| format!("{:?}", g.name()))),
            protocol: protocol.map(|p| String::from_utf8_lossy(p).into_owned()),
            asks_for_certificate: self.asked.load(Ordering::Relaxed),
        };
        Ok((stream, inspection))
    }
}

/// Shows a certificate where there is one, and notes that it was asked for.
#[derive(Debug)]
struct Noting {
    asked: Arc<AtomicBool>,
    key: Option<Arc<CertifiedKey>>,
}

impl ResolvesClientCert for Noting {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        // `resolve` is called only where this says so.
        true
    }
}

/// Takes every certificate, and verifies that the peer has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        false
    }
}
