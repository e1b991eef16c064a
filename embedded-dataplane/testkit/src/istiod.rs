//! istiod, as far as certificates are concerned: who runs Istio's ztunnel beside ours needs one.

use std::sync::Arc;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::{Authority, Details, Leaf};

/// What a request in PEM stands between.
const REQUEST: [&str; 2] = [
    "-----BEGIN CERTIFICATE REQUEST-----",
    "-----END CERTIFICATE REQUEST-----",
];

/// Signs whatever clients of Istio's certificate service ask for (istio/api
/// `security/v1alpha1/ca.proto`), as `localhost`, with a certificate of the authority itself. Asks
/// nobody who they are.
pub async fn certify(listener: TcpListener, authority: Authority) {
    let root = authority.root();
    certify_with(listener, authority, move || root.clone()).await;
}

/// The same with these roots, in PEM, whenever it is asked.
pub async fn certify_with(
    listener: TcpListener,
    authority: Authority,
    roots: impl Fn() -> String + Send + Sync + 'static,
) {
    let details = Details {
        hosts: vec!["localhost".to_owned()],
        ..Details::default()
    };
    let leaf = Leaf::of("cluster.local/ns/istio-system/sa/istiod");
    let own = authority.issue_with(&leaf, &details);
    let chain = CertificateDer::pem_slice_iter(own.chain.as_bytes());
    let chain = chain.collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let signer = Arc::new(Signer {
        authority,
        roots: Box::new(roots),
    });
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, signer) = (acceptor.clone(), Arc::clone(&signer));
        tokio::spawn(async move { serve(stream, &acceptor, &signer).await });
    }
}

struct Signer {
    authority: Authority,
    roots: Box<dyn Fn() -> String + Send + Sync>,
}

/// Answers the requests of a connection until it ends, however it does.
async fn serve(stream: TcpStream, acceptor: &TlsAcceptor, signer: &Arc<Signer>) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let signer = Arc::clone(signer);
        tokio::spawn(async move { answer(request, respond, &signer).await });
    }
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    signer: &Signer,
) -> Option<()> {
    let mut body = request.into_body();
    let mut message = Vec::new();
    while let Some(octets) = body.data().await {
        let octets = octets.ok()?;
        _ = body.flow_control().release_capacity(octets.len());
        message.extend_from_slice(&octets);
    }
    let text = String::from_utf8_lossy(&message);
    let [from, to] = REQUEST;
    let request = text.get(text.find(from)?..text.find(to)? + to.len())?;
    let texts = [signer.authority.certify(request), (signer.roots)()];
    let mut send = respond.send_response(Response::new(()), false).ok()?;
    send.send_data(response(&texts).into(), false).ok()?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().ok()?);
    send.send_trailers(trailers).ok()
}

/// The message of gRPC with `cert_chain`, its field 1, in the encoding of protocol buffers.
fn response(texts: &[String]) -> Vec<u8> {
    let mut message = Vec::new();
    for text in texts {
        message.push(0x0a);
        let mut length = text.len();
        while length >= 0x80 {
            message.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        message.push(u8::try_from(length).unwrap());
        message.extend(text.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap();
    [&[0][..], &length.to_be_bytes(), &message].concat()
}
