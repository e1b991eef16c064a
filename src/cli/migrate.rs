//! `kubectl ambient migrate`.

use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use clap::{ArgAction, Args, Subcommand, ValueHint};
use ipnet::IpNet;

use super::values::{
    Authorization, DryRun, FailOn, PlanFormat, Strategy, Waypoint, cidr, plugin_names, waypoint,
};
use super::{DEFAULT_NAMESPACE, after_help};

/// The heading of what comes out.
const OUTPUT: &str = "Output";

/// `migrate`, with or without a verb.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = after_help!(
        "kubectl ambient migrate -f k8s/ -R",
        "kubectl ambient migrate -f k8s/ -R --diff --waypoint waypoint=shop",
        "kubectl ambient migrate -f k8s/ -R --write --accept AMB0110-1a2b3c4d",
        "helm template shop | kubectl ambient migrate -f - -o json",
    )
)]
pub struct MigrateArguments {
    /// The verb; `plan` when absent.
    #[command(subcommand)]
    pub action: Option<MigrateAction>,
    /// The flags of `plan`.
    #[command(flatten)]
    pub plan: PlanArguments,
}

/// The verbs of `migrate`.
#[derive(Debug, Subcommand)]
pub enum MigrateAction {
    /// Show what has to change, what to know first, and the proof (the default)
    #[command(after_help = after_help!("kubectl ambient migrate plan -f k8s/ -R"))]
    Plan(Box<PlanArguments>),
    /// Print the changes as a unified diff
    ///
    /// Its paths start in the current folder, as `patch -p1` takes them. `git apply` takes them from
    /// the top of the repository and skips all others without a word: below it, use
    /// `git apply --directory="$(git rev-parse --show-prefix)"`.
    #[command(after_help = after_help!(
        "kubectl ambient migrate diff -f k8s/ -R",
        "kubectl ambient migrate diff -f k8s/ -R | patch -p1",
    ))]
    Diff(Box<DiffArguments>),
}

/// Flags of `migrate plan`.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// What to read.
    #[command(flatten)]
    pub input: InputArguments,
    /// What to plan.
    #[command(flatten)]
    pub planning: PlanningArguments,
    /// What to do about findings.
    #[command(flatten)]
    pub judgement: JudgementArguments,
    /// Show the diff of the files as well
    #[arg(long, help_heading = OUTPUT)]
    pub diff: bool,
    /// Change the files in place, if no finding stands against it
    #[arg(long, help_heading = OUTPUT)]
    pub write: bool,
    /// Write the changed files into this folder instead
    #[arg(long, help_heading = OUTPUT, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output_dir: Option<PathBuf>,
    /// With `--write`: write although some of the input cannot be used
    #[arg(long, help_heading = OUTPUT)]
    pub keep_going: bool,
    /// Whether to check everything, but write nothing
    #[arg(long, help_heading = OUTPUT, value_enum, value_name = "WHERE", default_value_t = DryRun::None)]
    pub dry_run: DryRun,
    /// Output format
    #[arg(short, long, help_heading = OUTPUT, value_enum, value_name = "FORMAT", default_value_t = PlanFormat::Table)]
    pub output: PlanFormat,
}

/// Flags of `migrate diff`.
#[derive(Debug, Args)]
pub struct DiffArguments {
    /// What to read.
    #[command(flatten)]
    pub input: InputArguments,
    /// What to plan.
    #[command(flatten)]
    pub planning: PlanningArguments,
    /// What to do about findings.
    #[command(flatten)]
    pub judgement: JudgementArguments,
}

/// What to do about findings.
#[derive(Debug, Args)]
#[command(next_help_heading = "Findings")]
pub struct JudgementArguments {
    /// Accept a finding by its id, all findings of a code, or `all`
    #[arg(long, value_name = "ID|CODE|all", value_parser = NonEmptyStringValueParser::new())]
    pub accept: Vec<String>,
    /// The severity from which findings fail the run
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = FailOn::Error)]
    pub fail_on: FailOn,
}

/// Which manifests to read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct InputArguments {
    /// A file or folder of manifests, or `-` for standard input
    #[arg(
        short,
        long,
        value_name = "PATH",
        value_hint = ValueHint::AnyPath,
        action = ArgAction::Append,
        conflicts_with = "kustomize"
    )]
    pub filename: Vec<PathBuf>,
    /// Read folders with everything below them
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// A folder with a kustomization, built with `kubectl kustomize`
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub kustomize: Option<PathBuf>,
    /// The namespace of objects that name none
    #[arg(
        short,
        long,
        value_name = "NAMESPACE",
        default_value = DEFAULT_NAMESPACE,
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub namespace: String,
}

/// What to plan.
#[derive(Debug, Args)]
#[command(next_help_heading = "Planning")]
pub struct PlanningArguments {
    /// Enrol only this namespace
    #[arg(long, value_name = "NAMESPACE", value_parser = NonEmptyStringValueParser::new())]
    pub only: Vec<String>,
    /// Do not enrol this namespace
    #[arg(long, value_name = "NAMESPACE", value_parser = NonEmptyStringValueParser::new())]
    pub exclude: Vec<String>,
    /// Plan with a waypoint for a namespace, or for all that are enrolled
    #[arg(long, value_name = "NAME[=NAMESPACE]", value_parser = waypoint)]
    pub waypoint: Vec<Waypoint>,
    /// The network plugin; `auto` looks for it in the manifests
    #[arg(
        long,
        value_name = "NAME",
        default_value = "auto",
        value_parser = PossibleValuesParser::new(plugin_names())
    )]
    pub cni: String,
    /// A range that pods get their addresses from; the private ranges when none is given
    #[arg(long, value_name = "CIDR", value_parser = cidr)]
    pub pod_cidr: Vec<IpNet>,
    /// How port limits are kept inside the tunnel
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Authorization::Deny)]
    pub authz: Authorization,
    /// How policies that exist are changed
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Strategy::Edit)]
    pub strategy: Strategy,
    /// Write the enrolment labels too; else they are listed as a step of their own
    ///
    /// A namespace gets the label for its waypoint only when it is enrolled already: until its pods
    /// are in the mesh, a waypoint would reach them in the clear. So run it again when they are.
    #[arg(long)]
    pub enroll: bool,
}
