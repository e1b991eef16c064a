use std::sync::{LazyLock, Mutex};

use tracing::Dispatch;
use tracing::subscriber::{NoSubscriber, with_default};
use tracing::{debug, error, event, info, info_span, trace, warn};

use super::*;

/// A log in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A moment of the golden log.
fn then() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_481_211_789_514)
}

/// As long as `tracing` has seen one subscriber alone, it takes that of the thread that comes to a
/// place first for all there are.
static OTHERS: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::new())));

fn logged(format: Format, filter: &str, events: impl FnOnce(&Log)) -> String {
    LazyLock::force(&OTHERS);
    let memory = Memory::default();
    let options = LogOptions {
        format,
        filter: filter.parse().unwrap(),
        now: then,
        ..LogOptions::default()
    };
    let log = Log::start(memory.clone(), options).unwrap();
    with_default(log.subscriber(), || events(&log));
    assert!(log.flush(Duration::from_mins(1)));
    let bytes = memory.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn some_events(_: &Log) {
    let address: std::net::SocketAddr = "10.244.1.4:46366".parse().unwrap();
    event!(
        target: "access",
        Level::INFO,
        src.addr = %address,
        src.workload = "client-1",
        bytes_sent = 111,
        is_new = true,
        share = 0.5,
        duration = "1ms",
        "connection complete"
    );
    let cause = io::Error::other("it said \"no\"\nand left");
    let _xds = info_span!(target: "xds", "xds", id = 5).entered();
    let _inner = info_span!(target: "xds", "plain").entered();
    warn!(
        target: "xds",
        error = &cause as &dyn std::error::Error,
        shown = %"two\nlines\u{1b}[2J",
        "handling {} update",
        "RBAC"
    );
    error!(target: "ambient_hbone::pool", "no fields");
}

#[test]
fn text_has_the_shape_of_ztunnels() {
    let log = logged(Format::Text, "info", some_events);
    assert_eq!(
        log,
        "2026-11-24T00:46:51.789514Z\tinfo\taccess\tconnection complete\t\
         src.addr=10.244.1.4:46366 src.workload=\"client-1\" bytes_sent=111 is_new=true share=0.5 \
         duration=\"1ms\"\n\
         2026-11-24T00:46:51.789514Z\twarn\txds:xds{id=5}:plain\thandling RBAC update\t\
         error=\"it said \\\"no\\\"\\nand left\" shown=two\\nlines\\u001b[2J\n\
         2026-11-24T00:46:51.789514Z\terror\thbone::pool:xds{id=5}:plain\tno fields\t\n"
    );
}

#[test]
fn json_has_the_shape_of_ztunnels() {
    let log = logged(Format::Json, "info", some_events);
    assert_eq!(
        log,
        "{\"level\":\"info\",\"time\":\"2026-11-24T00:46:51.789514Z\",\"scope\":\"access\",\
         \"message\":\"connection complete\",\"src.addr\":\"10.244.1.4:46366\",\
         \"src.workload\":\"client-1\",\"bytes_sent\":111,\"is_new\":true,\"share\":0.5,\
         \"duration\":\"1ms\"}\n\
         {\"level\":\"warn\",\"time\":\"2026-11-24T00:46:51.789514Z\",\"scope\":\"xds\",\
         \"message\":\"handling RBAC update\",\"error\":\"it said \\\"no\\\"\\nand left\",\
         \"shown\":\"two\\nlines\\u001b[2J\",\"xds\":{\"id\":5},\"plain\":{}}\n\
         {\"level\":\"error\",\"time\":\"2026-11-24T00:46:51.789514Z\",\"scope\":\"hbone::pool\",\
         \"message\":\"no fields\",\"xds\":{\"id\":5},\"plain\":{}}\n"
    );
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn what_outsiders_send_is_cut_and_stays_on_one_line() {
    let sent = "é".repeat(5000);
    let logged_json = logged(
        Format::Json,
        "info",
        |_| info!(target: "t", from = sent, "{sent}"),
    );
    let line: serde_json::Value = serde_json::from_str(&logged_json).unwrap();
    let expected = "é".repeat(2048) + "…";
    assert_eq!(
        (&line["from"], &line["message"]),
        (&expected.clone().into(), &expected.into())
    );
    let logged_text = logged(
        Format::Text,
        "info",
        |_| info!(target: "t", "a\u{2028}b\u{85}c\rd"),
    );
    assert_eq!(
        logged_text.split('\t').nth(3),
        Some("a\\u2028b\\u0085c\\rd")
    );
}

#[test]
fn levels_change_while_it_runs() {
    let log = logged(Format::Text, "warn,access=info", |log| {
        let say = |round: u32| {
            info!(target: "access", "info {round}");
            debug!(target: "access", "debug {round}");
            info!(target: "relay", "relay {round}");
            trace!(target: "relay", "trace {round}");
        };
        say(1);
        log.set_filter(log.filter().with("access=debug,trace").unwrap());
        assert_eq!(log.filter().to_string(), "trace,access=debug");
        say(2);
        log.set_filter(log.first_filter().clone());
        say(3);
        log.set_filter("off".parse().unwrap());
        say(4);
    });
    let said: Vec<_> = log
        .lines()
        .filter_map(|line| line.split('\t').nth(3))
        .collect();
    assert_eq!(
        said,
        [
            "info 1", "info 2", "debug 2", "relay 2", "trace 2", "info 3"
        ]
    );
}

#[test]
fn what_was_dropped_is_a_line_of_the_same_shape() {
    assert_eq!(
        of_ours(Format::Text, then(), 7, "no space"),
        "2026-11-24T00:46:51.789514Z\twarn\tlog\tlines were dropped\tlines=7 error=\"no space\"\n"
    );
    assert_eq!(
        of_ours(Format::Json, then(), 7, "no space"),
        "{\"level\":\"warn\",\"time\":\"2026-11-24T00:46:51.789514Z\",\"scope\":\"log\",\
         \"message\":\"lines were dropped\",\"lines\":7,\"error\":\"no space\"}\n"
    );
}

#[test]
fn formats_have_ztunnels_names() {
    assert_eq!(
        ("plain".parse(), "json".parse()),
        (Ok(Format::Text), Ok(Format::Json))
    );
    let error = "xml".parse::<Format>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`xml` is no log format: use `plain` or `json`"
    );
}

#[test]
fn a_panic_is_logged_where_and_why_it_happened() {
    let log = logged(Format::Text, "info", |log| {
        log.take_panics();
        // Once for its place, however often it happens.
        for _ in 0..100 {
            let panicked = std::panic::catch_unwind(|| panic!("a \"bug\"\nof ours"));
            panicked.unwrap_err();
        }
        let _ = std::panic::take_hook();
    });
    assert_eq!(log.lines().count(), 1, "{log}");
    let (before, after) = log.split_once(" thread=").unwrap();
    let (start, at) = before.split_once("at=").unwrap();
    assert_eq!(
        start,
        "2026-11-24T00:46:51.789514Z\terror\truntime::log\tpanic\t"
    );
    assert!(at.contains("log/tests.rs:"), "{at}");
    assert!(
        after.ends_with(" error=\"a \\\"bug\\\"\\nof ours\"\n"),
        "{after}"
    );
}
