//! Any text is a file with options, and comes to the same settings each time, within their bounds; or
//! it is refused, and says why.

use ambient_proxy::fuzzing::settings;
use ambient_ztunnel::snapshot::WorkloadName;
use serde_json::Value;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let read = settings(text);
    assert_eq!(settings(text), read);
    match read {
        Ok(settings) => check(&settings),
        Err(why) => assert!(!why.is_empty()),
    }
}

fn check(settings: &Value) {
    let workload = settings["workload"].as_str().expect("a name");
    let read: WorkloadName = workload.parse().expect("a name that was read");
    assert_eq!(read.to_string(), workload);
    let threads = settings["threads"].as_u64().expect("a number");
    assert!((1..=1024).contains(&threads), "{threads}");
    let drain = settings["drainSeconds"].as_f64().expect("a time");
    assert!(drain >= 0.0 && drain.is_finite(), "{drain}");
    // Nothing is marked with 0, because that is no mark.
    assert_ne!(settings["packetMark"], 0);
}
