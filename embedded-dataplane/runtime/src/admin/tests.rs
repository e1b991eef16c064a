mod profiles;

use std::net::SocketAddr;
use std::time::Duration;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::log::LogOptions;
use crate::tasks::{Panics, Tasks};

struct Served {
    address: SocketAddr,
    _tasks: Tasks,
}

async fn served(site: Site, limits: Limits) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = Tasks::new(&Panics::default());
    tasks.spawn("admin", serve(listener, site, limits));
    Served {
        address,
        _tasks: tasks,
    }
}

impl Served {
    async fn open(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What the server answers before it closes.
    async fn send(&self, octets: &str) -> String {
        let mut stream = self.open().await;
        stream.write_all(octets.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    /// Status, headers that matter and body.
    async fn ask(&self, method: &str, path: &str) -> String {
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        let answer = self.send(&request).await;
        let kept = answer.lines().filter(|line| {
            !["date:", "connection:", "content-length:"]
                .iter()
                .any(|h| line.starts_with(h))
        });
        kept.collect::<Vec<_>>().join("\n")
    }
}

/// Everything until the end. A connection that is cut off says nothing.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(Duration::from_mins(1), stream.read_to_end(&mut answer));
    let _ = read.await.expect("the server closes");
    String::from_utf8(answer).unwrap()
}

fn some() -> Site {
    readiness(Readiness::default())
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let gates = Readiness::default();
    let mut proxy = gates.gate("proxy");
    let mut state = gates.gate("state manager");
    let served = served(readiness(gates), Limits::default()).await;
    assert_eq!(
        served.ask("GET", "/healthz/ready").await,
        "HTTP/1.1 500 Internal Server Error\ncontent-type: text/plain; charset=utf-8\n\n\
         not ready, waiting for: proxy, state manager"
    );
    proxy.open();
    state.open();
    assert_eq!(
        served.ask("GET", "/healthz/ready").await,
        "HTTP/1.1 200 OK\ncontent-type: text/plain; charset=utf-8\n\nready"
    );
    assert_eq!(
        served.ask("HEAD", "/healthz/ready?x").await,
        "HTTP/1.1 200 OK\ncontent-type: text/plain; charset=utf-8\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_that_this_was_all_gets_its_answer() {
    let served = served(some(), Limits::default()).await;
    for _ in 0..200 {
        let mut stream = served.open().await;
        let request = b"GET /healthz/ready HTTP/1.1\r\nhost: t\r\n\r\n";
        stream.write_all(request).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.ends_with("\r\n\r\nready\n"), "{answer}");
    }
}

#[tokio::test]
async fn what_there_is_not_is_said() {
    let served = served(some(), Limits::default()).await;
    assert_eq!(
        served.ask("POST", "/healthz/ready").await,
        "HTTP/1.1 405 Method Not Allowed\ncontent-type: text/plain; charset=utf-8\nallow: GET\n\n\
         use GET"
    );
    for path in ["/", "/healthz", "/healthz/ready/"] {
        assert_eq!(
            served.ask("GET", path).await,
            "HTTP/1.1 404 Not Found\ncontent-type: text/plain; charset=utf-8\n\n\
             there is no such page"
        );
    }
}

#[tokio::test]
async fn metrics_come_in_the_form_that_is_asked_for() {
    let site = metrics(&Arc::new(Metrics::default()));
    let served = served(site, Limits::default()).await;
    assert_eq!(
        served.ask("GET", "/metrics").await,
        "HTTP/1.1 200 OK\ncontent-type: text/plain; version=0.0.4; charset=utf-8\n"
    );
    let request = "GET /stats/prometheus HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\
                   accept: application/openmetrics-text; version=1.0.0\r\n\r\n";
    let answer = served.send(request).await;
    assert!(
        answer.contains("content-type: application/openmetrics-text;"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\n# EOF\n"), "{answer}");
}

#[tokio::test]
async fn administration_shows_and_changes() {
    let log = Log::start(std::io::sink(), LogOptions::default()).unwrap();
    let quit = Quit::default();
    let site = administration(Some(log.clone()), quit.clone(), || "{\"a\": 1}".to_owned());
    let site = site.and(readiness(Readiness::default()));
    let served = served(site, Limits::default()).await;
    let body = async |method: &str, path: &str| {
        let answer = served.ask(method, path).await;
        let (head, body) = answer.split_once("\n\n").unwrap_or((&answer, ""));
        format!("{} {body}", head.split(' ').nth(1).unwrap())
    };
    assert_eq!(
        body("GET", "/").await,
        "200 GET /config_dump\nPOST /quitquitquit\nPOST /logging\nGET /healthz/ready"
    );
    assert_eq!(body("GET", "/healthz/ready").await, "200 ready");
    assert_eq!(body("GET", "/config_dump").await, "200 {\"a\": 1}");
    assert_eq!(
        body("POST", "/logging").await,
        "200 current log level is info"
    );
    assert_eq!(
        body("POST", "/logging?level=access:debug,relay%3Dtrace").await,
        "200 current log level is info,access=debug,relay=trace"
    );
    assert_eq!(log.filter().to_string(), "info,access=debug,relay=trace");
    assert_eq!(
        body("POST", "/logging?level=loud").await,
        "400 `loud` is no level: use `off`, `error`, `warn`, `info`, `debug` or `trace`\n\
         usage: POST /logging?level=LEVEL[,SCOPE=LEVEL…][&reset=true]"
    );
    assert_eq!(
        body("POST", "/logging?reset=perhaps").await,
        "400 `perhaps` is neither `true` nor `false`\n\
         usage: POST /logging?level=LEVEL[,SCOPE=LEVEL…][&reset=true]"
    );
    assert_eq!(
        body("POST", "/logging?level=access=off&reset=true").await,
        "200 current log level is info,access=off"
    );
    assert_eq!(
        body("POST", "/logging?reset=").await,
        "200 current log level is info"
    );
    assert_eq!(body("GET", "/quitquitquit").await, "405 use POST");
    assert!(
        timeout(Duration::from_millis(1), quit.asked())
            .await
            .is_err()
    );
    assert_eq!(body("POST", "/quitquitquit").await, "200 shutting down");
    quit.asked().await;
}

#[tokio::test]
async fn who_does_not_ask_in_time_is_left() {
    let limits = Limits {
        asking: Duration::from_millis(200),
        ..Limits::default()
    };
    let served = served(some(), limits).await;
    let request = "GET /healthz/ready HTTP/1.1\r\nhost: t\r\n\r\n";
    // Nothing, the half of a head, and nothing after an answer.
    for (sent, answers) in [("", 0), ("GET /healthz/re", 0), (request, 1)] {
        let begun = Instant::now();
        let answer = served.send(sent).await;
        assert_eq!(
            answer.matches("200 OK").count(),
            answers,
            "{sent:?} {answer}"
        );
        assert!(begun.elapsed() < Duration::from_secs(30), "{sent:?}");
    }
    // A head that never ends.
    let mut stream = served.open().await;
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let begun = Instant::now();
    while stream.write_all(b"x-slow: loris\r\n").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(begun.elapsed() < Duration::from_secs(30), "it goes on");
    }
}

#[tokio::test]
async fn heads_are_bounded() {
    let served = served(some(), Limits::default()).await;
    let head = |headers: &str| format!("GET /healthz/ready HTTP/1.1\r\nhost: t\r\n{headers}\r\n");
    for headers in [
        "x-many: 1\r\n".repeat(100),
        format!("x-long: {}\r\n", "y".repeat(10_000)),
    ] {
        let answer = served.send(&head(&headers)).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    for garbage in [
        "\r\n\r\n\r\nGET\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = served.send(garbage).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }
}

#[tokio::test]
async fn whoever_holds_all_connections_does_not_keep_a_probe_out() {
    let limits = Limits {
        connections: 8,
        asking: Duration::from_mins(10),
        ..Limits::default()
    };
    let served = served(some(), limits).await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(served.open().await);
    }
    let answer = served.ask("GET", "/healthz/ready").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    // All but the last seven are ended, and these are not.
    for stream in &mut held[..92] {
        assert_eq!(rest(stream).await, "");
    }
    for stream in &mut held[93..] {
        let mut octet = [0];
        let read = timeout(Duration::from_millis(5), stream.read(&mut octet));
        assert!(read.await.is_err(), "it was ended");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_an_octet_a_second_is_left_when_its_time_is_up() {
    let site = Site::new("large").page("/", &[Method::GET], |_| {
        Answer::text(StatusCode::OK, "x".repeat(1 << 20))
    });
    // What it had time for, and what was on its way.
    assert_eq!(read_slowly(site).await, (13, 13));
}

/// Reads an octet a second of what a site has at `/`, until that is left. Tells after how many seconds
/// that was, and how many octets came.
async fn read_slowly(site: Site) -> (u64, usize) {
    let (near, mut far) = duplex(1);
    let begun = Instant::now();
    let serving = server::connection(near, Arc::new(site), Limits::default());
    let reading = async {
        far.write_all(b"GET / HTTP/1.1\r\nhost: t\r\n\r\n")
            .await
            .unwrap();
        let mut octets = 0;
        while far.read(&mut [0]).await.unwrap() > 0 {
            octets += 1;
            sleep(Duration::from_secs(1)).await;
        }
        octets
    };
    let ((), octets) = tokio::join!(serving, reading);
    (begun.elapsed().as_secs(), octets)
}

#[tokio::test]
async fn a_connection_is_for_one_question() {
    let served = served(some(), Limits::default()).await;
    let request = "GET /healthz/ready HTTP/1.1\r\nhost: t\r\n\r\n";
    let answer = served.send(&request.repeat(3)).await;
    assert_eq!(answer.matches("200 OK").count(), 1, "{answer}");
}

#[tokio::test(start_paused = true)]
async fn who_asks_at_the_same_time_gets_the_same_text() {
    let made = AtomicUsize::new(0);
    let text = Recent::new(|| made.fetch_add(1, Ordering::Relaxed).to_string());
    let first = text.text();
    for _ in 0..1000 {
        let again = text.text();
        assert_eq!(again.as_ptr(), first.as_ptr());
    }
    sleep(Duration::from_millis(999)).await;
    assert_eq!(text.text(), "0");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(text.text(), "1");
}

#[tokio::test]
async fn a_crowd_of_scrapers_has_the_metrics_made_once() {
    #[derive(Debug, Clone, Default)]
    struct Scrapes(Arc<AtomicUsize>);
    impl prometheus_client::collector::Collector for Scrapes {
        fn encode(
            &self,
            _: prometheus_client::encoding::DescriptorEncoder<'_>,
        ) -> std::fmt::Result {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }
    let scrapes = Scrapes::default();
    let mut all = Metrics::default();
    all.registry().register_collector(Box::new(scrapes.clone()));
    let site = metrics(&Arc::new(all));
    let ask = |path: &str, accept: &str| {
        let request = http::Request::get(path).header("accept", accept);
        let (head, ()) = request.body(()).unwrap().into_parts();
        match site.answer(&head) {
            Reply::Now(answer) => answer.body,
            Reply::Later(_) => panic!("metrics are there"),
        }
    };
    for _ in 0..100 {
        assert_eq!(ask("/metrics", "*/*"), ask("/stats/prometheus", "*/*"));
        assert_eq!(ask("/metrics", "application/openmetrics-text"), "# EOF\n");
    }
    assert_eq!(scrapes.0.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_server_answers_while_the_process_is_busy_and_ends_when_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (work, busy) = mpsc::channel();
    let busy = std::sync::Mutex::new(busy);
    let (say, mut being_made) = tokio::sync::mpsc::unbounded_channel();
    let site = Site::new("slow").page("/", &[Method::GET], move |_| {
        say.send(()).unwrap();
        let asked = busy.lock().unwrap().recv_timeout(Duration::from_secs(10));
        Answer::text(StatusCode::OK, format!("{asked:?}"))
    });
    let server = Server::start([(listener, site)], Limits::default(), &Panics::default());
    let mut server = server.unwrap();
    server.begin();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: t\r\n\r\n";
    stream.write_all(request).await.unwrap();
    // The work of this thread goes on while the page is made.
    being_made.recv().await.unwrap();
    work.send("moving data").unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.ends_with("Ok(\"moving data\")"), "{answer}");
    server.close().await;
    TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test]
async fn who_was_accepted_is_answered_though_nobody_else_is_accepted_any_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let site = Site::new("test").page("/", &[Method::GET], |_| Answer::text(StatusCode::OK, "yes"));
    let server = Server::start([(listener, site)], Limits::default(), &Panics::default());
    let mut server = server.unwrap();
    server.begin();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    // Accepted after it.
    let mut next = TcpStream::connect(address).await.unwrap();
    next.write_all(b"GET / HTTP/1.1\r\nhost: t\r\n\r\n")
        .await
        .unwrap();
    assert!(rest(&mut next).await.ends_with("yes"));
    server.close().await;
    TcpStream::connect(address).await.unwrap_err();
    slow.write_all(b"host: t\r\n\r\n").await.unwrap();
    assert!(rest(&mut slow).await.ends_with("yes"));
    server.answered().await;
}

#[tokio::test]
async fn nobody_is_accepted_before_it_begins_and_whoever_came_before_is_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let site = Site::new("test").page("/", &[Method::GET], |_| Answer::text(StatusCode::OK, "yes"));
    let server = Server::start([(listener, site)], Limits::default(), &Panics::default());
    let server = server.unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: t\r\n\r\n")
        .await
        .unwrap();
    let wait = Duration::from_millis(200);
    let early = tokio::time::timeout(wait, stream.read(&mut [0])).await;
    assert!(early.is_err(), "{early:?}");
    server.begin();
    assert!(rest(&mut stream).await.ends_with("yes"));
}
