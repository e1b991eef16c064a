//! What is said to the tunnel's port of a pod, from outside of the mesh.

use std::fs;
use std::time::Duration;

use ambient_testkit::{Authority, Leaf, Validity};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::client::{self, Version};
use super::table::{Case, Other};
use crate::harness::MESH;
use crate::lab::{Lab, SERVER, from_outside};

/// What is said.
pub(super) enum Asked {
    /// These octets, in the clear.
    Octets(&'static [u8]),
    /// A handshake.
    Handshake(Shown, &'static [&'static str], Version),
    /// A request of a client of the mesh.
    Request(
        &'static str,
        &'static str,
        &'static [(&'static str, &'static str)],
    ),
    /// A tunnel to this address, and what becomes of it.
    Tunnel(&'static str, Then),
}

/// The certificate that is shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shown {
    Nothing,
    Own,
    /// Of the same authority, for another trust domain.
    OtherDomain,
    /// Of another authority.
    OtherAuthority,
    Expired,
    Future,
    /// Of the same authority, for nobody by SPIFFE.
    Nameless,
}

/// What becomes of a tunnel.
#[derive(Debug, Clone, Copy)]
pub(super) enum Then {
    /// `hello` goes there and back, and both ends close.
    Hello,
    /// The client says this, and when it is back resets the stream with a code.
    Reset(&'static str, Reason),
}

const H2: &[&str] = &["h2"];
const SELF: &str = "10.7.0.2:8080";

const fn case(name: &'static str, asked: Asked, said: &'static str) -> Case<Asked> {
    Case {
        name,
        asked,
        said,
        other: None,
    }
}

const fn differs(
    name: &'static str,
    asked: Asked,
    said: &'static str,
    other: &'static [&'static str],
    because: &'static str,
) -> Case<Asked> {
    Case {
        name,
        asked,
        said,
        other: Some(Other {
            said: other,
            because,
        }),
    }
}

const fn connect(authority: &'static str) -> Asked {
    Asked::Request("CONNECT", authority, &[])
}

const fn handshake(shown: Shown) -> Asked {
    Asked::Handshake(shown, H2, Version::Tls13)
}

/// All cases.
pub(super) const CASES: &[Case<Asked>] = &[
    case(
        "HTTP in the clear",
        Asked::Octets(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
        "alert 50",
    ),
    case(
        "HTTP/2 in the clear",
        Asked::Octets(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        "alert 50",
    ),
    case("no octets, and the end", Asked::Octets(b""), "closed"),
    case(
        "a certificate of the mesh",
        handshake(Shown::Own),
        "SETTINGS",
    ),
    case(
        "no certificate",
        handshake(Shown::Nothing),
        "alert CertificateRequired",
    ),
    case(
        "another authority",
        handshake(Shown::OtherAuthority),
        "alert UnknownCA",
    ),
    case(
        "another trust domain",
        handshake(Shown::OtherDomain),
        "alert CertificateUnknown",
    ),
    case(
        "a certificate that has expired",
        handshake(Shown::Expired),
        "alert CertificateExpired",
    ),
    case(
        "a certificate of tomorrow",
        handshake(Shown::Future),
        "alert CertificateExpired",
    ),
    case(
        "a certificate without a SPIFFE identity",
        handshake(Shown::Nameless),
        "alert CertificateUnknown",
    ),
    case(
        "TLS 1.2",
        Asked::Handshake(Shown::Own, H2, Version::Tls12),
        "alert ProtocolVersion",
    ),
    case(
        "another protocol",
        Asked::Handshake(Shown::Own, &["http/1.1"], Version::Tls13),
        "alert NoApplicationProtocol",
    ),
    case(
        "h2 among others",
        Asked::Handshake(Shown::Own, &["http/1.1", "h2"], Version::Tls13),
        "SETTINGS",
    ),
    case(
        "no protocol",
        Asked::Handshake(Shown::Own, &[], Version::Tls13),
        "SETTINGS",
    ),
    case("GET", Asked::Request("GET", SELF, &[]), "400"),
    case("POST", Asked::Request("POST", SELF, &[]), "400"),
    case("to the workload", connect(SELF), "200"),
    case("to its other address", connect("[fd00:7::2]:8080"), "400"),
    case("to another workload", connect("10.7.0.1:8080"), "400"),
    case(
        "to an address of nobody",
        connect("203.0.113.7:8080"),
        "400",
    ),
    case("to the loopback address", connect("127.0.0.1:8080"), "400"),
    case("to a Service by its address", connect("10.9.0.1:80"), "400"),
    case("to a Service by its name", connect("db.shop:80"), "200"),
    case(
        "to a name that nobody knows",
        connect("nobody.shop:80"),
        "503",
    ),
    case("without a port", connect("10.7.0.2"), "400"),
    differs(
        "to port 0",
        connect("10.7.0.2:0"),
        "400",
        &["503"],
        "nothing listens at port 0 (RFC 6335, section 6), so that the request is wrong and no server fails",
    ),
    case("where nobody listens", connect("10.7.0.2:9999"), "503"),
    case("to the tunnel's port", connect("10.7.0.2:15008"), "503"),
    case(
        "to the port for plaintext",
        connect("10.7.0.2:15006"),
        "503",
    ),
    case(
        "to the port for captured clients",
        connect("10.7.0.2:15001"),
        "503",
    ),
    case("to the port of metrics", connect("10.7.0.2:15020"), "200"),
    case(
        "with headers of Istio",
        Asked::Request(
            "CONNECT",
            SELF,
            &[
                ("baggage", "k8s.namespace.name=shop,service.name=web"),
                (
                    "traceparent",
                    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                ),
                ("forwarded", "by=10.7.0.1;for=10.7.0.9"),
            ],
        ),
        "200",
    ),
    case(
        "with headers that mean nothing",
        Asked::Request(
            "CONNECT",
            SELF,
            &[
                ("baggage", ",,;=%zz"),
                ("traceparent", "zz"),
                ("forwarded", ";;;"),
            ],
        ),
        "200",
    ),
    case(
        "what a tunnel carries",
        Asked::Tunnel(SELF, Then::Hello),
        "200, `10.7.0.1 0 / hello`, the end",
    ),
    case(
        "a tunnel that its client lets go",
        Asked::Tunnel(SELF, Then::Reset("let go", Reason::CANCEL)),
        "200, the application sees `let go` finishes",
    ),
    differs(
        "a tunnel that its client breaks off",
        Asked::Tunnel(SELF, Then::Reset("broken off", Reason::CONNECT_ERROR)),
        "200, the application sees `broken off` ends with ConnectionReset",
        &["200, the application sees `broken off` finishes"],
        "what was broken off must not look complete to the application (ztunnel issue 1483)",
    ),
];

/// Longer than any answer takes.
const LONG: Duration = Duration::from_secs(4);

/// Says it, and tells what came of it.
pub(super) async fn ask(lab: &Lab, asked: &Asked) -> String {
    let told = async {
        let stream = from_outside(&format!("{SERVER}:15008"), 0);
        stream.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(stream).unwrap();
        match asked {
            Asked::Octets(octets) => in_the_clear(stream, octets).await,
            Asked::Handshake(shown, protocols, version) => {
                match client::secure(stream, issued(lab, *shown), protocols, *version).await {
                    Ok(stream) => first_frame(stream).await,
                    Err(told) => told,
                }
            }
            Asked::Request(method, authority, headers) => {
                let begun = client::http2(stream, issued(lab, Shown::Own)).await;
                let mut sender = match begun {
                    Ok(sender) => sender,
                    Err(told) => return told,
                };
                let mut request = Request::builder().method(*method);
                request = match *method {
                    "CONNECT" => request.uri(*authority),
                    _ => request.uri(format!("https://{authority}/")),
                };
                for (name, value) in *headers {
                    request = request.header(*name, *value);
                }
                answer(&mut sender, request.body(()).unwrap()).await.0
            }
            Asked::Tunnel(authority, then) => {
                let begun = client::http2(stream, issued(lab, Shown::Own)).await;
                let mut sender = match begun {
                    Ok(sender) => sender,
                    Err(told) => return told,
                };
                let request = Request::connect(*authority).body(()).unwrap();
                match answer(&mut sender, request).await {
                    (said, Some((send, receive))) => {
                        format!("{said}, {}", carry(lab, send, receive, *then).await)
                    }
                    (said, None) => said,
                }
            }
        }
    };
    let told = tokio::time::timeout(LONG, told).await;
    told.unwrap_or_else(|_| "nothing for 4 seconds".to_owned())
}

fn issued(lab: &Lab, shown: Shown) -> Option<ambient_testkit::Issued> {
    let key = fs::read_to_string(lab.folder().join("authority/ca-key.pem")).unwrap();
    let authority = Authority::again(MESH, &key);
    let own = Leaf::of("cluster.local/ns/shop/sa/web");
    Some(match shown {
        Shown::Nothing => return None,
        Shown::Own => authority.issue(&own),
        Shown::OtherDomain => authority.issue(&Leaf::of("elsewhere.example/ns/shop/sa/web")),
        Shown::OtherAuthority => Authority::new("another").issue(&own),
        Shown::Expired => authority.issue(&own.valid(Validity::Past)),
        Shown::Future => authority.issue(&own.valid(Validity::Future)),
        Shown::Nameless => authority.issue(&Leaf {
            uris: Vec::new(),
            ..own
        }),
    })
}

/// What comes of octets in the clear.
async fn in_the_clear(mut stream: TcpStream, octets: &[u8]) -> String {
    stream.write_all(octets).await.unwrap();
    if octets.is_empty() {
        stream.shutdown().await.unwrap();
    }
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        // An alert of TLS is a record of type 21 (RFC 8446, section 5.1).
        Ok(_) if answer.first() == Some(&21) => format!("alert {}", answer.last().unwrap()),
        Ok(_) if answer.is_empty() => "closed".to_owned(),
        Ok(_) => format!("{} octets", answer.len()),
        Err(error) => format!("{:?}", error.kind()),
    }
}

/// The first frame of HTTP/2 that comes, after which the handshake is over for both.
async fn first_frame(mut stream: TlsStream<TcpStream>) -> String {
    let mut head = [0; 9];
    match stream.read_exact(&mut head).await {
        Ok(_) if head[3] == 4 => "SETTINGS".to_owned(),
        Ok(_) => format!("frame {}", head[3]),
        Err(error) => client::told(&error),
    }
}

type Streams = (SendStream<Bytes>, RecvStream);

/// The status of an answer, with its stream where there is one.
async fn answer(
    sender: &mut SendRequest<Bytes>,
    request: Request<()>,
) -> (String, Option<Streams>) {
    let (answer, send) = match sender.send_request(request, false) {
        Ok(sent) => sent,
        Err(error) => return (format!("cannot be said: {error}"), None),
    };
    match answer.await {
        Ok(answer) => (
            answer.status().as_u16().to_string(),
            Some((send, answer.into_body())),
        ),
        Err(error) => (client::reset(&error), None),
    }
}

/// What comes back through a tunnel, and how it ends.
async fn carry(
    lab: &Lab,
    mut send: SendStream<Bytes>,
    mut receive: RecvStream,
    then: Then,
) -> String {
    match then {
        Then::Hello => {
            if send.send_data(Bytes::from_static(b"hello"), true).is_err() {
                let ended = receive.data().await;
                let ended = ended.map_or("the end".to_owned(), |octets| {
                    octets.map_or_else(|error| client::reset(&error), |_| "octets".to_owned())
                });
                return format!("nothing can be sent, {ended}");
            }
        }
        Then::Reset(said, code) => {
            send.send_data(Bytes::from_static(said.as_bytes()), false)
                .unwrap();
            let mut back = Vec::new();
            while !back.ends_with(said.as_bytes()) {
                match receive.data().await {
                    Some(Ok(octets)) => back.extend_from_slice(&octets),
                    Some(Err(error)) => return client::reset(&error),
                    None => return "the end".to_owned(),
                }
            }
            send.send_reset(code);
            return format!("the application sees {}", logged(lab, said).await);
        }
    }
    let mut said = Vec::new();
    let end = loop {
        match receive.data().await {
            Some(Ok(octets)) => {
                _ = receive.flow_control().release_capacity(octets.len());
                said.extend_from_slice(&octets);
            }
            Some(Err(error)) => break client::reset(&error),
            None => break "the end".to_owned(),
        }
    };
    let said = String::from_utf8_lossy(&said).replace('\n', " / ");
    format!("`{said}`, {end}")
}

/// What the application logs of a client that said this.
async fn logged(lab: &Lab, said: &str) -> String {
    let log = lab.folder().join("8080");
    loop {
        let lines = fs::read_to_string(&log).unwrap();
        let line = lines
            .lines()
            .find(|line| line.starts_with(&format!("`{said}`")));
        if let Some(line) = line {
            return line.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
