//! What the workers of tokio do, under ztunnel's names (its `src/metrics/tokio.rs`).

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use tokio::runtime::{Handle, RuntimeMetrics};

use super::gauge;

/// Runtimes whose workers are shown, wherever a scrape is answered.
#[derive(Debug)]
pub(super) struct Workers(Vec<Handle>);

impl Workers {
    /// Those of the runtime that this is called in, if there is one, and of others.
    pub(super) fn of(others: impl IntoIterator<Item = Handle>) -> Self {
        Self(Handle::try_current().into_iter().chain(others).collect())
    }

    fn sum(&self, of: impl Fn(&RuntimeMetrics) -> usize) -> usize {
        self.0.iter().map(|handle| of(&handle.metrics())).sum()
    }
}

impl Collector for Workers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        let help = "Number of worker threads of the runtime.";
        let workers = self.sum(RuntimeMetrics::num_workers);
        gauge(&mut encoder, "tokio_num_workers", help, workers)?;
        let help = "Number of tasks that wait in the queue that all workers share.";
        let depth = self.sum(RuntimeMetrics::global_queue_depth);
        gauge(&mut encoder, "tokio_global_queue_depth", help, depth)?;
        let help = "Number of tasks that have not ended.";
        let tasks = self.sum(RuntimeMetrics::num_alive_tasks);
        gauge(&mut encoder, "tokio_num_alive_tasks", help, tasks)?;
        let help = "Time that a worker was busy.";
        let name = "tokio_worker_total_busy_duration_seconds";
        each(&mut encoder, (name, help), &self.0, |metrics, worker| {
            metrics.worker_total_busy_duration(worker).as_secs_f64()
        })?;
        let help = "How often a worker went to sleep.";
        let name = "tokio_worker_park_count";
        each(&mut encoder, (name, help), &self.0, |metrics, worker| {
            metrics.worker_park_count(worker)
        })?;
        let help = "How often a worker went to sleep or woke up.";
        let name = "tokio_worker_park_unpark_count";
        each(&mut encoder, (name, help), &self.0, |metrics, worker| {
            metrics.worker_park_unpark_count(worker)
        })
    }
}

/// A counter of each worker.
fn each<N>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    runtimes: &[Handle],
    value: impl Fn(&RuntimeMetrics, usize) -> N,
) -> fmt::Result
where
    ConstCounter<N>: EncodeMetric,
{
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    let runtimes = runtimes.iter().map(Handle::metrics);
    let all = runtimes.flat_map(|metrics| {
        let workers = 0..metrics.num_workers();
        workers.map(move |worker| (metrics.clone(), worker))
    });
    for (number, (metrics, worker)) in all.enumerate() {
        let labels = [("worker", number.to_string())];
        ConstCounter::new(value(&metrics, worker)).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
