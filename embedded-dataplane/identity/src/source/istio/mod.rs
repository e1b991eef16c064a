//! Certificates from istiod, or from whoever offers its service.
//!
//! The service has one method with one request and one answer. HTTP/2 is in the tree, so what gRPC
//! adds is a prefix of five octets and two trailers ([`call`]), and what protocol buffers add are
//! four fields ([`message`]). tonic and prost would bring some thirty packages and a generator into
//! the process that carries everybody's traffic, and a channel that reconnects by rules of its own,
//! where the store has already said when to try again.

mod call;
pub mod fuzzing;
mod message;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ambient_facts::authority::{CLUSTER_HEADER, METHOD};
use ambient_facts::tunnel::ALPN;
use http::header::{AUTHORIZATION, CONTENT_TYPE, TE};
use http::{HeaderValue, Method, Request, Version};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::files::Files;
use super::{FetchError, Pending, Source};
use crate::credentials::Issued;
use crate::csr::SigningRequest;
use crate::provider::TlsPolicy;
use crate::roots::Roots;
use crate::spiffe::SpiffeId;
use crate::workload::HandshakeError;

/// The most octets of a file with roots or a token.
const MOST: u64 = 1 << 20;

/// Where an authority is, and how to speak with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IstioOptions {
    /// Host and port (ztunnel `CA_ADDRESS`), for example `istiod.istio-system.svc:15012`. The host is
    /// the name that its certificate has to be for.
    pub address: String,
    /// A file with the roots that its certificate leads to (ztunnel `CA_ROOT_CA`). When it changes,
    /// certificates are fetched again, because the roots of the mesh have changed then.
    pub roots: PathBuf,
    /// A file with the token of a service account. It is read each time, since it is exchanged often.
    pub token: PathBuf,
    /// The name of the cluster, which says whose tokens these are (ztunnel `CLUSTER_ID`).
    pub cluster: String,
    /// For how long certificates are to be valid (ztunnel `SECRET_TTL`).
    pub lifetime: Duration,
    /// Whether the token is a node's, which asks for the workloads on it. Otherwise it is that of the
    /// workload itself.
    pub for_others: bool,
}

/// An authority that offers `istio.v1.auth.IstioCertificateService`.
///
/// Each certificate is asked for on a connection of its own: they are rare, and which of several
/// instances answers is decided anew.
#[derive(Debug, Clone)]
pub struct IstioAuthority {
    options: IstioOptions,
    roots: Files,
    token: Files,
}

impl IstioAuthority {
    /// The authority at this address. Nothing is read and nobody asked before a certificate is
    /// needed.
    pub fn new(options: IstioOptions) -> Self {
        Self {
            roots: Files::new([options.roots.clone()], MOST),
            token: Files::new([options.token.clone()], MOST),
            options,
        }
    }

    async fn issued(&self, identity: &SpiffeId) -> Result<Issued, FetchError> {
        let options = &self.options;
        let roots = Roots::from_pem(&one(&self.roots, &options.roots).await?);
        let roots = roots.map_err(|error| FetchError::File {
            path: options.roots.clone(),
            reason: error.to_string(),
        })?;
        let token = one(&self.token, &options.token).await?;
        let csr = SigningRequest::new(identity).map_err(|error| refused(&error))?;
        let impersonated = options.for_others.then_some(identity);
        let message = message::request(csr.pem(), options.lifetime, impersonated);
        let answer = self.ask(&roots, &token, &message).await;
        let answer = answer.map_err(|reason| {
            let address = &options.address;
            FetchError::Refused(format!("`{address}`: {reason}"))
        })?;
        let chain = message::response(&answer);
        // The last is the roots; a chain without them could be verified by nobody.
        let chain = chain.as_deref().and_then(<[_]>::split_last);
        let Some((roots, chain @ [_, ..])) = chain else {
            return Err(refused(&"the answer holds no chain with roots"));
        };
        Ok(Issued {
            credentials: csr.answered(&chain.join(&b'\n'))?,
            roots: Roots::from_pem(roots)?,
        })
    }

    async fn ask(&self, roots: &Roots, token: &[u8], message: &[u8]) -> Result<Vec<u8>, String> {
        let IstioOptions {
            address, cluster, ..
        } = &self.options;
        let (host, _) = address.rsplit_once(':').ok_or("the port is missing")?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
        let bearer = [b"Bearer ", token.trim_ascii()].concat();
        let mut bearer =
            HeaderValue::from_bytes(&bearer).map_err(|_| "the token is no header of HTTP")?;
        bearer.set_sensitive(true);
        let request = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(format!("https://{address}{METHOD}"))
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .header(AUTHORIZATION, bearer)
            .header(CLUSTER_HEADER, cluster)
            .body(())
            .map_err(|error| error.to_string())?;

        let tcp = TcpStream::connect(address)
            .await
            .map_err(|e| e.to_string())?;
        let connector = TlsConnector::from(Arc::new(tls(roots)?));
        let stream = connector.connect(name, tcp).await;
        let stream = stream.map_err(|error| HandshakeError::from(error).to_string())?;
        call::call(stream, request, message).await
    }
}

impl Source for IstioAuthority {
    fn fetch<'a>(&'a self, identity: &'a SpiffeId) -> Pending<'a, Result<Issued, FetchError>> {
        Box::pin(self.issued(identity))
    }

    fn changed(&self) -> Pending<'_, ()> {
        Box::pin(self.roots.changed())
    }
}

async fn one(files: &Files, path: &Path) -> Result<Vec<u8>, FetchError> {
    let content = files.read().await?.into_iter().next().flatten();
    content.ok_or_else(|| FetchError::File {
        path: path.to_owned(),
        reason: "there is no such file".to_owned(),
    })
}

/// TLS as usual: the server has a name, and the client shows nothing but its token.
fn tls(roots: &Roots) -> Result<ClientConfig, String> {
    let policy = TlsPolicy::Tls13;
    let roots = RootCertStore {
        roots: roots.anchors.to_vec(),
    };
    let builder = ClientConfig::builder_with_provider(policy.provider())
        .with_protocol_versions(&policy.versions());
    let builder = builder.map_err(|error| error.to_string())?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn refused(reason: &dyn fmt::Display) -> FetchError {
    FetchError::Refused(reason.to_string())
}

#[cfg(test)]
mod tests;
