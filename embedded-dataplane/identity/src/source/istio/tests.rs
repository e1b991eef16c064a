use std::fs;
use std::path::Path;
use std::sync::Mutex;

use ambient_facts::tunnel::SPIFFE_SCHEME;
use ambient_testkit::{Authority, Details, Issued as Signed, Leaf};
use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Response};
use rcgen::{CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::store::{Store, StoreOptions};
use crate::trust::Trust;

/// What the service does with a request.
#[derive(Debug, Clone)]
enum Script {
    /// Signs, and answers with the certificate, this one and the root.
    Sign(Option<String>),
    /// Signs, and forgets the root.
    WithoutRoots,
    /// Answers with headers alone, that say why not.
    Refuse(&'static str, &'static str),
    /// Answers with this instead of a message and with this status.
    Octets(Vec<u8>, Option<&'static str>),
    /// Another status of HTTP.
    Http(u16),
    /// Ends the connection.
    End,
}

/// Headers and messages of the requests that came.
type Seen = Arc<Mutex<Vec<(HeaderMap, Vec<u8>)>>>;

/// istiod, as far as certificates are concerned.
struct Istiod {
    address: String,
    folder: tempfile::TempDir,
    seen: Seen,
    _stop: tokio::task::JoinSet<()>,
}

fn web() -> SpiffeId {
    let path = format!("{SPIFFE_SCHEME}cluster.local/ns/shop/sa/web");
    path.parse().unwrap()
}

impl Istiod {
    async fn start(script: Script) -> Self {
        let tls = Authority::new("control plane");
        let hosts = vec!["localhost".to_owned()];
        let details = Details {
            hosts,
            ..Details::default()
        };
        let signed = tls.issue_with(
            &Leaf::of("cluster.local/ns/istio-system/sa/istiod"),
            &details,
        );
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("root.pem"), tls.root()).unwrap();
        fs::write(folder.path().join("token"), "secret\n").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::default();
        let mut stop = tokio::task::JoinSet::new();
        stop.spawn(serve(listener, server(&signed), script, Arc::clone(&seen)));
        Self {
            address: format!("localhost:{port}"),
            folder,
            seen,
            _stop: stop,
        }
    }

    fn options(&self) -> IstioOptions {
        IstioOptions {
            address: self.address.clone(),
            roots: self.folder.path().join("root.pem"),
            token: self.folder.path().join("token"),
            cluster: "Kubernetes".to_owned(),
            lifetime: Duration::from_hours(24),
            for_others: true,
        }
    }

    async fn ask(&self) -> Result<Issued, String> {
        let authority = IstioAuthority::new(self.options());
        let issued = authority.fetch(&web()).await;
        let folder = self.folder.path().display().to_string();
        issued.map_err(|e| {
            e.to_string()
                .replace(&self.address, "ADDRESS")
                .replace(&folder, "DIR")
        })
    }
}

fn server(signed: &Signed) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(signed.chain.as_bytes());
    let chain = chain.collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).unwrap();
    let builder = ServerConfig::builder_with_provider(TlsPolicy::Tls13.provider());
    let mut config = builder
        .with_protocol_versions(&TlsPolicy::Tls13.versions())
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![ALPN.to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, script: Script, seen: Seen) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(stream) = acceptor.accept(stream).await else {
            continue;
        };
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            assert_eq!(
                (request.method(), request.uri().path()),
                (&Method::POST, METHOD)
            );
            let (head, mut body) = request.into_parts();
            let mut message = Vec::new();
            // The body comes only while the connection is driven.
            let read = async {
                while let Some(Ok(octets)) = body.data().await {
                    message.extend_from_slice(&octets);
                }
            };
            tokio::select! { () = read => {}, _ = std::future::poll_fn(|cx| connection.poll_closed(cx)) => {} }
            seen.lock().unwrap().push((head.headers, message.clone()));
            if matches!(script, Script::End) {
                break;
            }
            answer(&ca, &script, &message, respond);
        }
    }
}

fn answer(
    ca: &CertifiedIssuer<'_, KeyPair>,
    script: &Script,
    message: &[u8],
    mut respond: SendResponse<Bytes>,
) {
    let sign = |between: &[&str], with_roots: bool| {
        let text = String::from_utf8_lossy(message);
        let (from, end) = (
            "-----BEGIN CERTIFICATE REQUEST-----",
            "-----END CERTIFICATE REQUEST-----",
        );
        let csr = &text[text.find(from).unwrap()..text.find(end).unwrap() + end.len()];
        let csr = CertificateSigningRequestParams::from_pem(csr).unwrap();
        let leaf = csr.signed_by(ca).unwrap().pem();
        let root = ca.pem() + &ca.pem();
        let mut texts = vec![leaf.as_str()];
        texts.extend(between);
        texts.extend(with_roots.then_some(root.as_str()));
        let mut message = Vec::new();
        for text in texts {
            message.push(0x0a);
            let length = u16::try_from(text.len()).unwrap();
            assert!((0x80..0x4000).contains(&length));
            let [low, _] = length.to_le_bytes();
            let [high, _] = (length >> 7).to_le_bytes();
            message.extend([low | 0x80, high]);
            message.extend(text.as_bytes());
        }
        framed(&message)
    };
    let (octets, status) = match script {
        Script::Sign(between) => (
            sign(
                &between.iter().map(String::as_str).collect::<Vec<_>>(),
                true,
            ),
            Some("0"),
        ),
        Script::WithoutRoots => (sign(&[], false), Some("0")),
        Script::Octets(octets, status) => (octets.clone(), *status),
        Script::Refuse(status, message) => {
            let response = Response::builder()
                .header("grpc-status", *status)
                .header("grpc-message", *message);
            respond
                .send_response(response.body(()).unwrap(), true)
                .unwrap();
            return;
        }
        Script::Http(status) => {
            let response = Response::builder().status(*status).body(()).unwrap();
            respond.send_response(response, true).unwrap();
            return;
        }
        Script::End => return,
    };
    let mut send = respond.send_response(Response::new(()), false).unwrap();
    send.send_data(octets.into(), status.is_none()).unwrap();
    if let Some(status) = status {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().unwrap());
        trailers.insert("grpc-message", "because".parse().unwrap());
        send.send_trailers(trailers).unwrap();
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0][..], &length.to_be_bytes(), message].concat()
}

#[tokio::test]
async fn a_certificate_comes_with_what_is_above_it() {
    let between = Authority::new("between").root();
    let istiod = Istiod::start(Script::Sign(Some(between))).await;
    let issued = istiod.ask().await.unwrap();
    assert_eq!(issued.credentials.key.cert.len(), 2);
    let identities: Vec<_> = issued.credentials.certificate().identities().collect();
    assert_eq!(identities, [web()]);

    let seen = istiod.seen.lock().unwrap();
    let [(headers, message)] = seen.as_slice() else {
        panic!("{seen:?}");
    };
    for (name, value) in [
        ("authorization", "Bearer secret"),
        ("clusterid", "Kubernetes"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        assert_eq!(headers[name], value);
    }
    let text = String::from_utf8_lossy(message);
    assert!(text.contains("ImpersonatedIdentity") && text.contains(&web().to_string()));
}

#[tokio::test]
async fn a_workload_asks_for_itself_without_naming_itself() {
    let istiod = Istiod::start(Script::Sign(None)).await;
    let options = IstioOptions {
        for_others: false,
        ..istiod.options()
    };
    let store = Store::start(
        IstioAuthority::new(options),
        Trust::new([]),
        StoreOptions::default(),
    );
    assert_eq!(*store.get(&web()).await.unwrap().identity(), web());
    let seen = istiod.seen.lock().unwrap();
    assert!(!String::from_utf8_lossy(&seen[0].1).contains("Impersonated"));
}

#[tokio::test]
async fn refusals_are_told_and_nonsense_is_refused() {
    let message = b"\x0a\x01a\x0a\x01b";
    let scripts = [
        Script::Refuse("16", "request authenticate failure%0a"),
        Script::Octets(framed(message), Some("7")),
        Script::Octets(framed(message), None),
        Script::Octets(framed(message), Some("0")),
        Script::Octets(framed(b"\x0a\x05a"), Some("0")),
        Script::Octets(message.to_vec(), Some("0")),
        Script::Octets(vec![0; 2 << 20], Some("0")),
        Script::WithoutRoots,
        Script::Http(503),
        Script::End,
    ];
    let mut told = Vec::new();
    for script in scripts {
        told.push(Istiod::start(script).await.ask().await.unwrap_err());
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    the certificate authority gives no certificate: `ADDRESS`: gRPC status 16: request authenticate failure
    the certificate authority gives no certificate: `ADDRESS`: gRPC status 7: because
    the certificate authority gives no certificate: `ADDRESS`: the answer ended without a status
    what was fetched cannot be used: there is no certificate in it
    the certificate authority gives no certificate: the answer holds no chain with roots
    the certificate authority gives no certificate: `ADDRESS`: the answer is not one message that is not compressed
    the certificate authority gives no certificate: `ADDRESS`: the answer has more than 1048576 bytes
    the certificate authority gives no certificate: the answer holds no chain with roots
    the certificate authority gives no certificate: `ADDRESS`: HTTP status 503 Service Unavailable
    the certificate authority gives no certificate: `ADDRESS`: the connection broke before the answer was there
    ");
}

#[tokio::test]
async fn what_is_missing_here_and_whoever_is_no_istiod_is_told() {
    let istiod = Istiod::start(Script::Sign(None)).await;
    let file = |name: &str| istiod.folder.path().join(name);
    let mut told = Vec::new();
    let other = Authority::new("other").root();
    let swap = |path: &Path, text: &str| fs::write(path, text).unwrap();
    swap(&file("root.pem"), &other);
    told.push(istiod.ask().await.unwrap_err());
    swap(&file("root.pem"), "");
    told.push(istiod.ask().await.unwrap_err());
    fs::remove_file(file("token")).unwrap();
    swap(&file("root.pem"), &other);
    told.push(istiod.ask().await.unwrap_err());
    swap(&file("token"), "two\nlines");
    told.push(istiod.ask().await.unwrap_err());
    assert!(istiod.seen.lock().unwrap().is_empty());
    insta::assert_snapshot!(told.join("\n"), @r"
    the certificate authority gives no certificate: `ADDRESS`: the chain leads to none of the roots
    cannot read `DIR/root.pem`: there is no certificate in it
    cannot read `DIR/token`: there is no such file
    the certificate authority gives no certificate: `ADDRESS`: the token is no header of HTTP
    ");
}
