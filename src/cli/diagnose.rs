//! `kubectl ambient diagnose`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ambient_identity::SpiffeId;
use clap::{Args, ValueHint};

use super::after_help;
use super::values::{PlainFormat, address, duration, identity, size};
use crate::probe::Address;

/// Flags of `diagnose`.
#[derive(Debug, Args)]
#[command(after_help = after_help!(
    codes: "  0    every address is healthy\n  \
        1    a cause was found\n  \
        2    wrong usage, or input that cannot be used: nothing was probed\n",
    "kubectl ambient diagnose --address 10.0.3.7",
    "kubectl ambient diagnose -f addresses.txt --root root.pem -o json",
    "kubectl ambient diagnose --address 10.0.3.7 --cert c.pem --key k.pem --target 10.0.3.7:80",
))]
pub struct DiagnoseArguments {
    /// Who to probe, as `HOST` or `HOST:PORT`; the tunnel's port when left out (repeatable)
    #[arg(long, value_name = "HOST[:PORT]", value_parser = address, required_unless_present = "filename")]
    pub address: Vec<Address>,
    /// A file with addresses, a line each, or `-` for standard input (repeatable)
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub filename: Vec<PathBuf>,
    /// The certificate to show, with its chain (PEM)
    #[arg(long, value_name = "FILE", requires = "key", value_hint = ValueHint::FilePath)]
    pub cert: Option<PathBuf>,
    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert", value_hint = ValueHint::FilePath)]
    pub key: Option<PathBuf>,
    /// Roots that the peer's certificate has to lead to (PEM); any certificate is taken without
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub root: Option<PathBuf>,
    /// The identity that the peer has to have
    #[arg(long, value_name = "SPIFFE-ID", value_parser = identity)]
    pub expect_identity: Option<SpiffeId>,
    /// Where to be connected to through the tunnel; without it the probe ends after HTTP/2
    #[arg(long, value_name = "IP:PORT")]
    pub target: Option<SocketAddr>,
    /// Octets to send through the tunnel, one size after the other; nothing is sent without
    #[arg(long, value_name = "OCTETS", value_parser = size, value_delimiter = ',', requires = "target")]
    pub size: Vec<usize>,
    /// The longest time of each step: a probe ends within that of all of them together
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "2s")]
    pub timeout: Duration,
    /// How often to probe each address
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000), default_value_t = 1)]
    pub count: u32,
    /// The time from one probe of an address to the next; each address has its own pace
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1s")]
    pub interval: Duration,
    /// Go on probing, and show what changes, until interrupted
    #[arg(long, conflicts_with = "count")]
    pub watch: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = PlainFormat::Table)]
    pub output: PlainFormat,
}
