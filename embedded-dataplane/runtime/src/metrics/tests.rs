use std::time::Duration;

use super::*;
use crate::lanes::Lanes;

/// An exposition without its numbers, which differ each second.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for line in text.lines() {
        let line = if line.starts_with('#') || line.starts_with("istio_build") {
            line
        } else {
            line.rsplit_once(' ').unwrap().0
        };
        shape.push_str(line);
        shape.push('\n');
    }
    shape
}

fn metrics() -> Metrics {
    metrics_beside([])
}

fn metrics_beside(others: impl IntoIterator<Item = Handle>) -> Metrics {
    let mut metrics = Metrics::new("ztunnel", "1.2.3", others);
    metrics.watch(None, &Panics::default());
    metrics
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_process_tells_of_itself_and_its_workers() {
    let text = metrics().expose(Exposition::OpenMetrics);
    assert_eq!(
        shape(&text),
        "\
# HELP process_open_fds Number of open file descriptors.
# TYPE process_open_fds gauge
process_open_fds
# HELP process_max_fds Maximum number of file descriptors.
# TYPE process_max_fds gauge
process_max_fds
# HELP process_resident_memory_bytes Resident memory size in bytes.
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes
# HELP tokio_num_workers Number of worker threads of the runtime.
# TYPE tokio_num_workers gauge
tokio_num_workers
# HELP tokio_global_queue_depth Number of tasks that wait in the queue that all workers share.
# TYPE tokio_global_queue_depth gauge
tokio_global_queue_depth
# HELP tokio_num_alive_tasks Number of tasks that have not ended.
# TYPE tokio_num_alive_tasks gauge
tokio_num_alive_tasks
# HELP tokio_worker_total_busy_duration_seconds Time that a worker was busy.
# TYPE tokio_worker_total_busy_duration_seconds counter
tokio_worker_total_busy_duration_seconds_total{worker=\"0\"}
# HELP tokio_worker_park_count How often a worker went to sleep.
# TYPE tokio_worker_park_count counter
tokio_worker_park_count_total{worker=\"0\"}
# HELP tokio_worker_park_unpark_count How often a worker went to sleep or woke up.
# TYPE tokio_worker_park_unpark_count counter
tokio_worker_park_unpark_count_total{worker=\"0\"}
# HELP istio_build Istio component build info.
# TYPE istio_build gauge
istio_build{component=\"ztunnel\",tag=\"1.2.3\"} 1
# HELP ambient_task_panics Tasks that ended in a panic.
# TYPE ambient_task_panics counter
ambient_task_panics_total
# EOF
"
    );
}

#[test]
fn workers_of_other_threads_are_shown_too() {
    let lanes = Lanes::start(2).unwrap();
    let text = lanes.block_on(async {
        let others = lanes.handles().into_iter().skip(1);
        metrics_beside(others).expose(Exposition::Text)
    });
    let of_workers: Vec<&str> = text.lines().filter(|l| l.contains("worker=")).collect();
    let names = of_workers.iter().filter_map(|line| line.split(' ').next());
    assert_eq!(
        names.collect::<Vec<_>>(),
        [
            "tokio_worker_total_busy_duration_seconds_total{worker=\"0\"}",
            "tokio_worker_total_busy_duration_seconds_total{worker=\"1\"}",
            "tokio_worker_park_count_total{worker=\"0\"}",
            "tokio_worker_park_count_total{worker=\"1\"}",
            "tokio_worker_park_unpark_count_total{worker=\"0\"}",
            "tokio_worker_park_unpark_count_total{worker=\"1\"}",
        ]
    );
    assert!(text.contains("\ntokio_num_workers 2\n"), "{text}");
    lanes.end(Duration::from_secs(10));
}

#[test]
fn the_older_form_names_counters_as_they_are_scraped() {
    let text = metrics().expose(Exposition::Text);
    assert!(
        text.contains("# TYPE ambient_task_panics_total counter\n"),
        "{text}"
    );
    assert!(!text.contains("# EOF"), "{text}");
}

#[tokio::test]
async fn what_listeners_failed_to_accept_is_counted_for_each() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let acceptor = crate::accept::Acceptor::new(listener, "tunnels");
    let mut metrics = Metrics::default();
    metrics.watch_listeners([
        ("outbound", Failures::default()),
        ("tunnels", acceptor.failures()),
    ]);
    assert_eq!(
        metrics.expose(Exposition::Text),
        "# HELP ambient_accept_failures_total How often a connection could not be accepted for want of something.\n\
         # TYPE ambient_accept_failures_total counter\n\
         ambient_accept_failures_total{listener=\"outbound\"} 0\n\
         ambient_accept_failures_total{listener=\"tunnels\"} 0\n"
    );
}

#[test]
fn the_newer_form_is_for_those_who_name_it() {
    let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                      text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    for (accept, content_type) in [(prometheus, OPEN_METRICS), ("*/*", TEXT), ("", TEXT)] {
        assert_eq!(Exposition::accepted(accept).content_type(), content_type);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_machine_gives_is_read_right() {
    let metrics = metrics();
    let read = |name: &str| {
        let text = metrics.expose(Exposition::Text);
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap().parse::<u64>().unwrap()
    };
    assert!(read("process_max_fds") >= read("process_open_fds"));
    let before = read("process_resident_memory_bytes");
    let much = vec![1_u8; 64 * 1024 * 1024];
    let after = read("process_resident_memory_bytes");
    assert!(after >= before + much.len() as u64 / 2, "{before} {after}");
}
