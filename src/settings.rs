//! What a command is to do: flags and environment, merged and checked.
//!
//! The only module that reads the environment, and the only one between clap's types and the
//! commands. It must not do what the settings say.

mod acceptance;
mod environment;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ambient_identity::SpiffeId;

use crate::cli;
use crate::error::ExpectedError;
use crate::finding::Severity;
use crate::migrate::{AuthzMode, Options, Strategy, WaypointRequest};
use crate::probe::Address;
use crate::reach::{Lens, Mode};
use crate::render::Format;
use crate::sink::Target;
use crate::source::{self, Request};

pub use crate::cli::DEFAULT_NAMESPACE;
pub use acceptance::Acceptance;
pub use environment::Environment;

/// A command with everything that it needs.
#[derive(Debug)]
pub enum Settings {
    /// `migrate`, `migrate plan`.
    Migrate(Box<Migrate>),
    /// `migrate diff`.
    MigrateDiff(Box<MigrateDiff>),
    /// `policy list`.
    PolicyList(PolicyList),
    /// `policy explain`.
    PolicyExplain(PolicyExplain),
    /// `policy diff`.
    PolicyDiff(PolicyDiff),
    /// `diagnose`.
    Diagnose(Box<Diagnose>),
    /// `demo`.
    Demo {
        /// Whether it ends after the checks.
        once: bool,
    },
    /// `explain`, with the code.
    Explain(Option<String>),
    /// `completion`, with the shell.
    Completion(cli::Shell),
    /// `version`.
    Version {
        /// Whether as JSON.
        json: bool,
    },
    /// `options`.
    Options,
    /// `help`, with the command.
    Help(Vec<String>),
}

/// Settings of `migrate`.
#[derive(Debug)]
pub struct Migrate {
    /// What to read.
    pub request: Request,
    /// What to plan.
    pub options: Options,
    /// Which findings are accepted.
    pub acceptance: Acceptance,
    /// The severity from which findings fail the run, and keep files from being written.
    pub fail_on: Severity,
    /// Where to write; `None` writes nothing.
    pub target: Option<Target>,
    /// Whether everything but the writing is done.
    pub dry_run: bool,
    /// Whether to write although some of the input cannot be used.
    pub keep_going: bool,
    /// Whether the diff is shown.
    pub diff: bool,
    /// How to show it.
    pub format: Format,
    /// The step summary of GitHub Actions that Markdown is appended to.
    pub step_summary: Option<PathBuf>,
}

/// Settings of `migrate diff`.
#[derive(Debug)]
pub struct MigrateDiff {
    /// What to read.
    pub request: Request,
    /// What to plan.
    pub options: Options,
    /// Which findings are accepted.
    pub acceptance: Acceptance,
    /// The severity from which findings keep the diff from being printed.
    pub fail_on: Severity,
}

/// Settings of `policy list`.
#[derive(Debug)]
pub struct PolicyList {
    /// What to read.
    pub request: Request,
    /// How to show it.
    pub view: View,
}

/// Settings of `policy explain`.
#[derive(Debug)]
pub struct PolicyExplain {
    /// What to read.
    pub request: Request,
    /// The party that connects.
    pub source: String,
    /// The party that is connected to, and the port.
    pub destination: cli::Party,
    /// How to show it.
    pub view: View,
}

/// Settings of `policy diff`.
#[derive(Debug)]
pub struct PolicyDiff {
    /// What to read first.
    pub before: Request,
    /// What to compare it with.
    pub after: Request,
    /// How to show it.
    pub view: View,
}

/// Settings of `diagnose`.
#[derive(Debug)]
pub struct Diagnose {
    /// Whom to probe.
    pub addresses: Vec<Address>,
    /// Files with more of them; `-` is standard input.
    pub lists: Vec<PathBuf>,
    /// Files with the certificate to show and its key.
    pub credentials: Option<(PathBuf, PathBuf)>,
    /// The file with the roots to believe.
    pub roots: Option<PathBuf>,
    /// Who is expected.
    pub expected: Option<SpiffeId>,
    /// Where to be connected to.
    pub target: Option<SocketAddr>,
    /// Octets to send.
    pub sizes: Vec<usize>,
    /// The longest time of a step.
    pub timeout: Duration,
    /// How often to probe; `None` goes on until interrupted.
    pub count: Option<u32>,
    /// The time from one probe to the next.
    pub interval: Duration,
    /// Whether as JSON.
    pub json: bool,
}

/// How connections are shown.
#[derive(Debug, Clone)]
pub struct View {
    /// Which connections, and what is known of addresses.
    pub lens: Lens,
    /// Whether as JSON.
    pub json: bool,
}

impl Settings {
    /// The settings of a command line.
    ///
    /// # Errors
    ///
    /// When flags do not go together, or name what does not exist.
    pub fn resolve(
        command: cli::Command,
        environment: &Environment,
    ) -> Result<Self, ExpectedError> {
        Ok(match command {
            cli::Command::Migrate(arguments) => match arguments.action {
                None => Self::Migrate(Box::new(migrate(arguments.plan, environment)?)),
                Some(cli::MigrateAction::Plan(plan)) => {
                    Self::Migrate(Box::new(migrate(*plan, environment)?))
                }
                Some(cli::MigrateAction::Diff(diff)) => Self::MigrateDiff(Box::new(MigrateDiff {
                    request: request(diff.input, environment)?,
                    options: options(diff.planning)?,
                    acceptance: Acceptance::parse(&diff.judgement.accept)?,
                    fail_on: severity(diff.judgement.fail_on),
                })),
            },
            cli::Command::Policy(arguments) => policy(arguments.action, environment)?,
            cli::Command::Diagnose(arguments) => Self::Diagnose(Box::new(diagnose(*arguments))),
            cli::Command::Demo { once } => Self::Demo { once },
            cli::Command::Explain { code } => Self::Explain(code),
            cli::Command::Completion { shell } => Self::Completion(shell),
            cli::Command::Version { output } => Self::Version {
                json: output == cli::VersionFormat::Json,
            },
            cli::Command::Options => Self::Options,
            cli::Command::Help { command } => Self::Help(command),
        })
    }
}

/// The format that a failure of this command is shown in, known before its settings are.
pub fn format(command: &cli::Command) -> Format {
    let json = |output: cli::PolicyFormat| match output {
        cli::PolicyFormat::Text => Format::Table,
        cli::PolicyFormat::Json => Format::Json,
    };
    match command {
        cli::Command::Migrate(arguments) => match &arguments.action {
            None => plan_format(arguments.plan.output),
            Some(cli::MigrateAction::Plan(plan)) => plan_format(plan.output),
            Some(cli::MigrateAction::Diff(_)) => Format::Table,
        },
        cli::Command::Policy(arguments) => json(match &arguments.action {
            cli::PolicyAction::List(list) => list.view.output,
            cli::PolicyAction::Explain(explain) => explain.view.output,
            cli::PolicyAction::Diff(diff) => diff.view.output,
        }),
        cli::Command::Diagnose(arguments) => match arguments.output {
            cli::PlainFormat::Table => Format::Table,
            cli::PlainFormat::Json => Format::Json,
        },
        cli::Command::Version { output } if *output == cli::VersionFormat::Json => Format::Json,
        cli::Command::Demo { .. }
        | cli::Command::Explain { .. }
        | cli::Command::Completion { .. }
        | cli::Command::Version { .. }
        | cli::Command::Help { .. }
        | cli::Command::Options => Format::Table,
    }
}

fn migrate(
    arguments: cli::PlanArguments,
    environment: &Environment,
) -> Result<Migrate, ExpectedError> {
    let from_stdin = arguments
        .input
        .filename
        .iter()
        .any(|f| f.as_os_str() == "-");
    let target = match (arguments.output_dir, arguments.write) {
        (Some(folder), _) => Some(Target::Directory(folder)),
        (None, true) if from_stdin => return Err(ExpectedError::StdinInPlace),
        (None, true) => Some(Target::InPlace),
        (None, false) => None,
    };
    if arguments.dry_run == cli::DryRun::Server {
        return Err(ExpectedError::ServerDryRun);
    }
    let format = plan_format(arguments.output);
    Ok(Migrate {
        request: request(arguments.input, environment)?,
        options: options(arguments.planning)?,
        acceptance: Acceptance::parse(&arguments.judgement.accept)?,
        fail_on: severity(arguments.judgement.fail_on),
        target,
        dry_run: arguments.dry_run == cli::DryRun::Client,
        keep_going: arguments.keep_going,
        diff: arguments.diff,
        format,
        step_summary: environment
            .step_summary
            .clone()
            .filter(|_| format == Format::Github),
    })
}

fn policy(action: cli::PolicyAction, environment: &Environment) -> Result<Settings, ExpectedError> {
    Ok(match action {
        cli::PolicyAction::List(list) => Settings::PolicyList(PolicyList {
            request: request(list.input, environment)?,
            view: view(list.view),
        }),
        cli::PolicyAction::Explain(explain) => Settings::PolicyExplain(PolicyExplain {
            request: request(explain.input, environment)?,
            source: explain.source,
            destination: explain.destination,
            view: view(explain.view),
        }),
        cli::PolicyAction::Diff(diff) => {
            check_name("--namespace", &diff.namespace)?;
            let read = |path: PathBuf| Request {
                files: vec![path],
                // Both sides may be in one folder.
                companions: false,
                recursive: diff.recursive,
                kustomize: None,
                kubectl: None,
                default_namespace: diff.namespace.clone(),
            };
            Settings::PolicyDiff(PolicyDiff {
                before: read(diff.before),
                after: read(diff.after),
                view: view(diff.view),
            })
        }
    })
}

fn diagnose(arguments: cli::DiagnoseArguments) -> Diagnose {
    Diagnose {
        addresses: arguments.address,
        lists: arguments.filename,
        credentials: arguments.cert.zip(arguments.key),
        roots: arguments.root,
        expected: arguments.expect_identity,
        target: arguments.target,
        sizes: arguments.size,
        timeout: arguments.timeout,
        count: (!arguments.watch).then_some(arguments.count),
        interval: arguments.interval,
        json: arguments.output == cli::PlainFormat::Json,
    }
}

fn request(
    input: cli::InputArguments,
    environment: &Environment,
) -> Result<Request, ExpectedError> {
    if input.filename.is_empty() && input.kustomize.is_none() {
        return Err(ExpectedError::NoInput);
    }
    check_name("--namespace", &input.namespace)?;
    Ok(Request {
        files: input.filename,
        companions: true,
        recursive: input.recursive,
        kustomize: input.kustomize,
        kubectl: environment.kubectl.clone(),
        default_namespace: input.namespace,
    })
}

fn options(planning: cli::PlanningArguments) -> Result<Options, ExpectedError> {
    Ok(Options {
        namespaces: planning.only,
        exclude: planning.exclude,
        waypoints: waypoints(planning.waypoint)?,
        pod_ranges: planning.pod_cidr,
        // `auto`, the only other name that the command line takes, is no plugin's.
        cni: planning.cni.parse().ok(),
        authz: match planning.authz {
            cli::Authorization::Deny => AuthzMode::Deny,
            cli::Authorization::Allow => AuthzMode::Allow,
            cli::Authorization::None => AuthzMode::None,
        },
        strategy: match planning.strategy {
            cli::Strategy::Edit => Strategy::Edit,
            cli::Strategy::Companion => Strategy::Companion,
        },
        enroll: planning.enroll,
    })
}

/// The waypoints, one for a namespace and one for all others at most.
fn waypoints(waypoints: Vec<cli::Waypoint>) -> Result<Vec<WaypointRequest>, ExpectedError> {
    let mut served: BTreeMap<Option<String>, String> = BTreeMap::new();
    let mut requests = Vec::new();
    for cli::Waypoint { name, namespace } in waypoints {
        check_name("--waypoint", &name)?;
        if let Some(first) = served.insert(namespace.clone(), name.clone()) {
            return Err(ExpectedError::TwoWaypoints {
                namespace,
                first,
                second: name,
            });
        }
        requests.push(WaypointRequest { name, namespace });
    }
    Ok(requests)
}

/// Checks what becomes the name of a namespace or a Service.
fn check_name(flag: &'static str, name: &str) -> Result<(), ExpectedError> {
    source::dns_label(name).map_err(|rule| ExpectedError::BadName {
        flag,
        name: name.to_owned(),
        rule: rule.to_string(),
    })
}

fn severity(fail_on: cli::FailOn) -> Severity {
    match fail_on {
        cli::FailOn::Error => Severity::Error,
        cli::FailOn::Warning => Severity::Warning,
        cli::FailOn::Info => Severity::Info,
    }
}

fn view(arguments: cli::ViewArguments) -> View {
    View {
        lens: Lens {
            mode: match arguments.mode {
                cli::Mode::Plaintext => Mode::Plaintext,
                cli::Mode::Tunnel => Mode::Tunnel,
            },
            pod_ranges: arguments.pod_cidr,
        },
        json: arguments.output == cli::PolicyFormat::Json,
    }
}

fn plan_format(format: cli::PlanFormat) -> Format {
    match format {
        cli::PlanFormat::Table => Format::Table,
        cli::PlanFormat::Json => Format::Json,
        cli::PlanFormat::Yaml => Format::Yaml,
        cli::PlanFormat::Markdown => Format::Markdown,
        cli::PlanFormat::Sarif => Format::Sarif,
        cli::PlanFormat::Github => Format::Github,
    }
}

#[cfg(test)]
mod tests;
