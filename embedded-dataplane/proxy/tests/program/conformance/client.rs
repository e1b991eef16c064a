//! A client that shows what it is told to, and believes every server.

use std::io;
use std::sync::Arc;

use ambient_testkit::Issued;
use bytes::Bytes;
use h2::client::SendRequest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A version of TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

/// A handshake; what came of it instead.
pub(crate) async fn secure(
    stream: TcpStream,
    issued: Option<Issued>,
    protocols: &[&str],
    version: Version,
) -> Result<TlsStream<TcpStream>, String> {
    let versions: &[_] = match version {
        Version::Tls12 => &[&rustls::version::TLS12],
        Version::Tls13 => &[&rustls::version::TLS13],
    };
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believing(provider)));
    let mut config = match issued {
        Some(issued) => {
            let chain = CertificateDer::pem_slice_iter(issued.chain.as_bytes());
            let chain = chain.collect::<Result<_, _>>().unwrap();
            let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    config.enable_sni = false;
    let name = ServerName::try_from("mesh.invalid").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await;
    stream.map_err(|error| told(&error))
}

/// HTTP/2 over it; what came of it instead.
pub(crate) async fn http2(
    stream: TcpStream,
    issued: Option<Issued>,
) -> Result<SendRequest<Bytes>, String> {
    let stream = secure(stream, issued, &["h2"], Version::Tls13).await?;
    let begun = h2::client::handshake(stream).await;
    let (sender, connection) = begun.map_err(|error| reset(&error))?;
    tokio::spawn(connection);
    sender.ready().await.map_err(|error| reset(&error))
}

/// What a failure of TLS says.
pub(crate) fn told(error: &io::Error) -> String {
    let below = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>());
    match below {
        Some(rustls::Error::AlertReceived(alert)) => format!("alert {alert:?}"),
        Some(error) => error.to_string(),
        None => format!("{:?}", error.kind()),
    }
}

/// How a stream ended before it should have.
pub(crate) fn reset(error: &h2::Error) -> String {
    match error.reason() {
        Some(reason) if error.is_go_away() => format!("GOAWAY {reason:?}"),
        Some(reason) => format!("RST_STREAM {reason:?}"),
        None => error.to_string(),
    }
}

/// Believes every certificate.
#[derive(Debug)]
struct Believing(Arc<CryptoProvider>);

impl ServerCertVerifier for Believing {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
