//! `kubectl ambient policy`.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueHint};
use ipnet::IpNet;

use super::migrate::InputArguments;
use super::values::{Mode, Party, PolicyFormat, cidr, party};
use super::{DEFAULT_NAMESPACE, after_help};

/// `policy`, with its verb.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = after_help!(
        "kubectl ambient policy list -f k8s/ -R",
        "kubectl ambient policy explain shop/web shop/db:5432 -f k8s/ -R",
        "kubectl ambient policy diff before/ after/ -R",
    )
)]
pub struct PolicyArguments {
    /// The verb.
    #[command(subcommand)]
    pub action: PolicyAction,
}

/// The verbs of `policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyAction {
    /// List who may connect to whom
    List(PolicyList),
    /// Explain why one workload may connect to another, or may not
    Explain(PolicyExplain),
    /// Compare the connections of two folders or files
    Diff(PolicyDiff),
}

/// Flags of `policy list`.
#[derive(Debug, Args)]
#[command(after_help = after_help!(
    "kubectl ambient policy list -f k8s/ -R",
    "kubectl ambient policy list -f k8s/ -R --mode tunnel -o json",
))]
pub struct PolicyList {
    /// What to read.
    #[command(flatten)]
    pub input: InputArguments,
    /// How to show it.
    #[command(flatten)]
    pub view: ViewArguments,
}

/// Operands and flags of `policy explain`.
#[derive(Debug, Args)]
#[command(after_help = after_help!(
    "kubectl ambient policy explain shop/web shop/db:5432 -f k8s/ -R",
    "kubectl ambient policy explain shop/web svc/db.shop:sql -f k8s/ -R",
    "kubectl ambient policy explain 203.0.113.7 shop/web:443 -f k8s/ -R",
))]
pub struct PolicyExplain {
    /// Who connects: `namespace/name`, `namespace/name[Kind]`, `svc/name.namespace` or an address
    #[arg(value_name = "SOURCE", value_parser = NonEmptyStringValueParser::new())]
    pub source: String,
    /// Who is connected to, spelled alike; the port by number or name
    #[arg(value_name = "DESTINATION[:PORT[/PROTOCOL]]", value_parser = party)]
    pub destination: Party,
    /// What to read.
    #[command(flatten)]
    pub input: InputArguments,
    /// How to show it.
    #[command(flatten)]
    pub view: ViewArguments,
}

/// Operands and flags of `policy diff`.
#[derive(Debug, Args)]
#[command(after_help = after_help!("kubectl ambient policy diff before/ after/ -R"))]
pub struct PolicyDiff {
    /// A file or folder of manifests
    #[arg(value_name = "BEFORE", value_hint = ValueHint::AnyPath)]
    pub before: PathBuf,
    /// Another one
    #[arg(value_name = "AFTER", value_hint = ValueHint::AnyPath)]
    pub after: PathBuf,
    /// Read folders with everything below them
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// The namespace of objects that name none
    #[arg(
        short,
        long,
        value_name = "NAMESPACE",
        default_value = DEFAULT_NAMESPACE,
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub namespace: String,
    /// How to show it.
    #[command(flatten)]
    pub view: ViewArguments,
}

/// How connections are shown.
#[derive(Debug, Args)]
pub struct ViewArguments {
    /// Which connections
    #[arg(long, value_enum, value_name = "MODE", default_value_t = Mode::Plaintext)]
    pub mode: Mode,
    /// A range that pods get their addresses from; the private ranges when none is given
    #[arg(long, value_name = "CIDR", value_parser = cidr)]
    pub pod_cidr: Vec<IpNet>,
    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = PolicyFormat::Text)]
    pub output: PolicyFormat,
}
