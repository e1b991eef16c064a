//! A store with a slow authority, and handshakes with what is set up once and with what is set up
//! each time.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ambient_facts::tunnel::SPIFFE_SCHEME;
use ambient_identity::{
    Authority, Clock, Credentials, FetchError, Issued, Pending, RevocationLists, Roots, Source,
    SpiffeId, Store, StoreOptions, TlsOptions, TlsPolicy, Trust, Workload,
};
use ambient_testkit::{self as testkit, Leaf, Validity};
use clap::Args;
use tokio::io::duplex;
use tokio::runtime::{Builder, Runtime};

use super::measure;
use super::table::{self, Table};

/// Options of `bench identity`.
#[derive(Debug, Args)]
pub(crate) struct Identity {
    /// How often each is measured; the table shows medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Handshakes in one measurement.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    handshakes: u32,
    /// Identities in the store.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=4000))]
    identities: u32,
    /// How long the authority takes for an answer, in milliseconds.
    #[arg(long, default_value_t = 20)]
    latency: u64,
}

/// How often a certificate that is there is looked up.
const LOOKUPS: u32 = 100_000;

const CLIENT: &str = "cluster.local/ns/shop/sa/web";
const SERVER: &str = "cluster.local/ns/shop/sa/db";

/// Prints the tables.
///
/// # Errors
///
/// When the output cannot be written, or something of what is measured fails.
pub(super) fn run(options: &Identity, output: &mut impl Write) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let Identity {
        handshakes,
        identities,
        latency,
        ..
    } = options;
    // First, while no memory is there that another measurement gave back.
    writeln!(
        output,
        "{identities} identities, an authority that answers in {latency} ms, 8 at once\n"
    )?;
    writeln!(output, "{}", runtime.block_on(store_table(options))?)?;
    writeln!(
        output,
        "{handshakes} handshakes on one thread, both ends of each, full and mutual\n"
    )?;
    write!(output, "{}", handshakes_table(options, &runtime)?)
}

/// Two workloads that are to meet.
struct Pair {
    name: &'static str,
    /// Whether TLS is set up anew for each handshake.
    anew: bool,
    policy: TlsPolicy,
    trust: Arc<Trust>,
    issued: [Issued; 2],
}

fn handshakes_table(options: &Identity, runtime: &Runtime) -> io::Result<Table> {
    let authority = testkit::Authority::new("bench");
    let revoked: Vec<u64> = (1_000_000..1_010_000).collect();
    let lists = authority.revoke(&revoked, Validity::Now);
    let pair = |name, anew, policy| -> io::Result<Pair> {
        Ok(Pair {
            name,
            anew,
            policy,
            trust: Trust::new([]),
            issued: [signed(&authority, CLIENT)?, signed(&authority, SERVER)?],
        })
    };
    let pairs = [
        pair("set up once", false, TlsPolicy::Tls13)?,
        pair("set up for each", true, TlsPolicy::Tls13)?,
        pair("set up once, 10,000 revoked", false, TlsPolicy::Tls13)?,
        pair("set up once, X25519MLKEM768", false, TlsPolicy::PostQuantum)?,
    ];
    if let Some(pair) = pairs.get(2) {
        let lists = RevocationLists::read(lists.as_bytes()).map_err(io::Error::other)?;
        pair.trust.revoke(lists);
    }
    // One after the other, and all of them again, so that each meets the same machine.
    let mut measured: Vec<Vec<Duration>> = vec![Vec::new(); pairs.len()];
    for _ in 0..options.runs {
        for (pair, measured) in pairs.iter().zip(&mut measured) {
            let mut work = || runtime.block_on(pair.meet(options.handshakes));
            let (outcome, spent) = measure::once(&mut work);
            outcome?;
            measured.push(spent.cpu.unwrap_or(spent.wall) / options.handshakes);
        }
    }
    let mut rows = Table::new(&["", "per second", "processor time"]);
    for (pair, measured) in pairs.iter().zip(measured) {
        let one = measure::median(measured.into_iter()).unwrap_or_default();
        let per_second = format!("{:.0}", 1.0 / one.as_secs_f64());
        rows.push(&[pair.name, &per_second, &microseconds(one)]);
    }
    Ok(rows)
}

impl Pair {
    fn workloads(&self) -> io::Result<[Workload; 2]> {
        let options = TlsOptions {
            policy: self.policy,
            ..TlsOptions::default()
        };
        let [client, server] = &self.issued;
        let set_up = |path, issued| {
            Workload::new(&identity(path)?, issued, &self.trust, options).map_err(io::Error::other)
        };
        Ok([set_up(CLIENT, client)?, set_up(SERVER, server)?])
    }

    async fn meet(&self, handshakes: u32) -> io::Result<()> {
        let expected = Arc::new(BTreeSet::from([identity(SERVER)?]));
        let [mut client, mut server] = self.workloads()?;
        for _ in 0..handshakes {
            if self.anew {
                [client, server] = self.workloads()?;
            }
            let (near, far) = duplex(1 << 16);
            let (a, b) = tokio::join!(
                client.connect(near, Arc::clone(&expected)),
                server.accept(far)
            );
            a.map_err(io::Error::other)?;
            b.map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// An authority that is far away.
struct Far {
    authority: Authority,
    latency: Duration,
}

impl Source for Far {
    fn fetch<'a>(&'a self, identity: &'a SpiffeId) -> Pending<'a, Result<Issued, FetchError>> {
        Box::pin(async move {
            tokio::time::sleep(self.latency).await;
            Ok(self.authority.issue(identity)?)
        })
    }
}

async fn store_table(options: &Identity) -> io::Result<Table> {
    let source = Far {
        authority: Authority::generate("bench", Clock::system()).map_err(io::Error::other)?,
        latency: Duration::from_millis(options.latency),
    };
    let names =
        (0..options.identities).map(|n| identity(&format!("cluster.local/ns/shop/sa/w{n}")));
    let names = names.collect::<io::Result<Vec<_>>>()?;
    let before = measure::memory();
    let store = Store::start(source, Trust::new([]), StoreOptions::default());
    let start = Instant::now();
    for name in &names {
        store.warm_up(name).map_err(io::Error::other)?;
    }
    // Connections of workloads that nobody warmed up come in between.
    let mut waits = Vec::new();
    for n in 0..20 {
        let urgent = identity(&format!("cluster.local/ns/shop/sa/urgent{n}"))?;
        let asked = Instant::now();
        store.get(&urgent).await.map_err(io::Error::other)?;
        waits.push(asked.elapsed());
    }
    for name in &names {
        store.get(name).await.map_err(io::Error::other)?;
    }
    let warm = start.elapsed();
    let held = measure::memory()
        .zip(before)
        .map(|(a, b)| a.saturating_sub(b));
    let each = held.map(|held| held / (names.len() + waits.len()));

    let start = Instant::now();
    for name in names.iter().cycle().take(LOOKUPS as usize) {
        std::hint::black_box(store.get(name).await.map_err(io::Error::other)?);
    }
    let lookup = start.elapsed() / LOOKUPS;

    let most = waits.iter().max().copied();
    let mut rows = Table::new(&["", "time"]);
    rows.push(&["all warm", &table::milliseconds(Some(warm))]);
    let median = measure::median(waits.into_iter());
    rows.push(&[
        "a connection meanwhile, median",
        &table::milliseconds(median),
    ]);
    rows.push(&[
        "a connection meanwhile, longest",
        &table::milliseconds(most),
    ]);
    rows.push(&["a connection afterwards", &microseconds(lookup)]);
    let each = each.map_or_else(
        || "-".to_owned(),
        |each| format!("{:.1} kB", kilobytes(each)),
    );
    rows.push(&["memory of one identity", &each]);
    Ok(rows)
}

fn signed(authority: &testkit::Authority, path: &str) -> io::Result<Issued> {
    let issued = authority.issue(&Leaf::of(path));
    let (chain, key) = (issued.chain.as_bytes(), issued.key.as_bytes());
    Ok(Issued {
        credentials: Credentials::from_pem(chain, key).map_err(io::Error::other)?,
        roots: Roots::from_pem(authority.root().as_bytes()).map_err(io::Error::other)?,
    })
}

fn identity(path: &str) -> io::Result<SpiffeId> {
    let parsed = format!("{SPIFFE_SCHEME}{path}").parse();
    parsed.map_err(io::Error::other)
}

fn microseconds(duration: Duration) -> String {
    format!("{:.1} µs", duration.as_secs_f64() * 1e6)
}

#[expect(clippy::cast_precision_loss, reason = "a table shows one digit")]
fn kilobytes(bytes: usize) -> f64 {
    bytes as f64 / 1000.0
}
