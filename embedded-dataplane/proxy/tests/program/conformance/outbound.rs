//! What a relay says to the server of a tunnel, and what it makes of answers for the application.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::sync::Arc;

use ambient_testkit::{Authority, Leaf};
use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use x509_parser::extensions::GeneralName;

use super::table::{Case, Other, Which};
use crate::harness::{MESH, eventually};
use crate::lab::{KEY, LISTEN, Lab, Relay, SERVER};

/// The server of tunnels, which says what the cases want to hear.
pub(crate) const SERVER_TEST: &str = "conformance::outbound::server";

/// What the server makes of a tunnel, by the port that it is asked for.
pub(super) const CASES: &[Case<u16>] = &[
    case("200, octets, and the end", 8080, "`hello`, the end"),
    case("200, and the end at once", 8090, "``, the end"),
    case("200, and a reset", 8091, "``, ConnectionReset"),
    case("200, octets, and it is cancelled", 8092, "`hello`, the end"),
    Case {
        name: "200, octets, and a reset",
        asked: 8094,
        said: "`hello`, ConnectionReset",
        other: Some(Other {
            said: &["`hello`, the end"],
            because: "what was broken off must not look complete to the application (ztunnel issue 1483)",
        }),
    },
    Case {
        name: "reset without an answer",
        asked: 8093,
        said: "``, ConnectionReset",
        other: Some(Other {
            said: &["``, the end", "``, ConnectionReset"],
            because: "there is no tunnel, whichever of its tasks hears of that first",
        }),
    },
    case("400", 8400, "``, ConnectionReset"),
    case("401", 8401, "``, ConnectionReset"),
    case("403", 8403, "``, ConnectionReset"),
    case("404", 8404, "``, ConnectionReset"),
    case("503", 8503, "``, ConnectionReset"),
    case("504", 8504, "``, ConnectionReset"),
    case("301", 8301, "``, ConnectionReset"),
];

/// How a tunnel is asked for.
const REQUEST: Case<()> = Case {
    name: "a tunnel",
    asked: (),
    said: "CONNECT 10.7.0.2:8080 [baggage: k8s.namespace.name=shop; forwarded: for=\"10.7.0.1:PORT\"; \
           traceparent: 55 characters; x-ambient-close: exact] over TLSv1_3, name None, as \
           spiffe://cluster.local/ns/shop/sa/web",
    other: Some(Other {
        said: &[
            "CONNECT 10.7.0.2:8080 [baggage: k8s.namespace.name=shop; forwarded: for=\"10.7.0.1:PORT\"; \
               traceparent: 55 characters] over TLSv1_3, name None, as \
               spiffe://cluster.local/ns/shop/sa/web",
        ],
        because: "two of ours tell each other how connections ended; others do not look at it",
    }),
};

const fn case(name: &'static str, asked: u16, said: &'static str) -> Case<u16> {
    Case {
        name,
        asked,
        said,
        other: None,
    }
}

/// Asks one relay, and compares with its column.
pub(super) fn hold(relay: &Relay, which: Which) {
    let lab = Lab::with_relays([relay, &Relay::Played(SERVER_TEST)]);
    let (mut told, mut expected) = (Vec::new(), Vec::new());
    for case in CASES {
        let stream = lab.connect(&format!("{SERVER}:{}", case.asked));
        let said = use_up(stream);
        expected.push(case.line(which, &said));
        told.push(format!("{}: {said}", case.name));
    }
    let asked = || {
        let log = lab.server.log();
        let line = log.lines().find_map(|line| line.strip_prefix("asked "));
        line.map(str::to_owned)
    };
    eventually("the server is asked", || asked().is_some());
    let asked = asked().unwrap();
    expected.push(REQUEST.line(which, &asked));
    told.push(format!("{}: {asked}", REQUEST.name));
    assert_eq!(told.join("\n"), expected.join("\n"), "{}", lab.client.log());
}

/// What an application gets, and how it ends.
fn use_up(mut stream: std::net::TcpStream) -> String {
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(4)))
        .unwrap();
    // It may be over already, which the system tells once: here, or where it is read.
    let early = stream.write_all(b"hi").err();
    _ = stream.shutdown(Shutdown::Write);
    let mut said = Vec::new();
    let late = stream.read_to_end(&mut said).err();
    let is_reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
    let end = match late.or_else(|| early.filter(is_reset)) {
        None => "the end".to_owned(),
        Some(error) => format!("{:?}", error.kind()),
    };
    format!("`{}`, {end}", String::from_utf8_lossy(&said))
}

/// The server of the tunnel, in its pod.
#[test]
fn server() {
    play(|stream, acceptor| {
        say("connected");
        serve(stream, acceptor)
    });
}

/// Plays a server in its pod, which does this with each connection; nothing elsewhere.
pub(crate) fn play<F>(serve: impl Fn(TcpStream, TlsAcceptor) -> F)
where
    F: Future<Output: Send> + Send + 'static,
{
    let (Some(address), Some(key)) = (std::env::var_os(LISTEN), std::env::var_os(KEY)) else {
        return;
    };
    let authority = Authority::again(MESH, &fs::read_to_string(key).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let acceptor = acceptor(&authority);
        let listener = TcpListener::bind(address.to_str().unwrap()).await.unwrap();
        say("ready");
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, acceptor.clone()));
        }
    });
}

pub(crate) fn say(line: &str) {
    _ = writeln!(io::stderr(), "{line}");
}

pub(crate) fn acceptor(authority: &Authority) -> TlsAcceptor {
    let issued = authority.issue(&Leaf::of("cluster.local/ns/shop/sa/db"));
    let chain = CertificateDer::pem_slice_iter(issued.chain.as_bytes());
    let chain = chain.collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.root().as_bytes()).unwrap();
    roots.add(root).unwrap();
    let clients = WebPkiClientVerifier::builder(Arc::new(roots))
        .build()
        .unwrap();
    let config = ServerConfig::builder().with_client_cert_verifier(clients);
    let mut config = config.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return say("the handshake failed");
    };
    let (_, session) = stream.get_ref();
    let secured = format!(
        "{:?}, name {:?}, as {}",
        session.protocol_version().unwrap(),
        session.server_name(),
        identity(&session.peer_certificates().unwrap()[0]),
    );
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, respond))) = connection.accept().await {
        say(&format!("asked {} over {secured}", described(&request)));
        tokio::spawn(answer(request, respond));
    }
}

/// Whom a certificate is for.
fn identity(certificate: &CertificateDer<'_>) -> String {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).unwrap();
    let names = parsed.subject_alternative_name().unwrap().unwrap();
    let names = names.value.general_names.iter().map(|name| match name {
        GeneralName::URI(uri) => (*uri).to_owned(),
        other => format!("{other:?}"),
    });
    names.collect::<Vec<_>>().join(" and ")
}

/// The request with its headers, without what is another each time.
fn described(request: &Request<RecvStream>) -> String {
    let mut headers: Vec<String> = request
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = value.to_str().unwrap_or("octets");
            match name.as_str() {
                "traceparent" => format!("{name}: {} characters", value.len()),
                "forwarded" => {
                    let (before, _) = value.rsplit_once(':').unwrap_or((value, ""));
                    format!("{name}: {before}:PORT\"")
                }
                _ => format!("{name}: {value}"),
            }
        })
        .collect();
    headers.sort_unstable();
    format!(
        "{} {} [{}]",
        request.method(),
        request.uri(),
        headers.join("; ")
    )
}

async fn answer(request: Request<RecvStream>, mut respond: h2::server::SendResponse<Bytes>) {
    let port = request
        .uri()
        .authority()
        .and_then(http::uri::Authority::port_u16);
    let port = port.unwrap_or_default();
    let mut body = request.into_body();
    if port == 8093 {
        return respond.send_reset(Reason::CANCEL);
    }
    let status = if port < 8300 { 200 } else { port - 8000 };
    let response = Response::builder().status(status).body(()).unwrap();
    let is_over = status != 200 || port == 8090;
    let Ok(mut send) = respond.send_response(response, is_over) else {
        return;
    };
    match port {
        8091 => send.send_reset(Reason::INTERNAL_ERROR),
        8092 | 8094 => {
            _ = send.send_data(Bytes::from_static(b"hello"), false);
            // So that they are on their way.
            while let Some(Ok(octets)) = body.data().await {
                _ = body.flow_control().release_capacity(octets.len());
            }
            send.send_reset(match port {
                8092 => Reason::CANCEL,
                _ => Reason::INTERNAL_ERROR,
            });
        }
        8080 => {
            while let Some(Ok(octets)) = body.data().await {
                _ = body.flow_control().release_capacity(octets.len());
            }
            _ = send.send_data(Bytes::from_static(b"hello"), true);
        }
        _ => {}
    }
}
