//! The commands that make sense after a plan, with the flags that lead to the same plan again.

use std::path::Path;

use crate::migrate::{AuthzMode, Options, Strategy};
use crate::model::shell_word;
use crate::render::{Outcome, Report};
use crate::settings::{DEFAULT_NAMESPACE, Migrate};
use crate::source::Request;

use super::gate;

/// What to do with a plan that can still be carried out.
pub(super) fn commands(report: &Report<'_>, settings: &Migrate) -> Vec<String> {
    let mut commands = Vec::new();
    if !matches!(report.outcome, Outcome::Planned) {
        return commands;
    }
    let open = report.open_findings(settings.fail_on).next();
    if let Some(entry) = open {
        commands.push(format!("kubectl ambient explain {}", entry.finding.code.id));
    }
    if report.differing_files() > 0 {
        let mut flags = flags(&settings.request, &settings.options);
        for name in settings.acceptance.names() {
            flags.push_str(" --accept ");
            flags.push_str(name);
        }
        if gate::standing(report, settings.fail_on).is_none() {
            commands.push(format!("kubectl ambient migrate diff {flags}"));
        } else if !report.show_diff {
            commands.push(format!("kubectl ambient migrate {flags} --diff"));
        }
        if gate::objection(report, settings).is_none() && !reads_stdin(&settings.request) {
            // The files that kustomize built from may serve other builds too.
            let how = match settings.request.kustomize {
                Some(_) => "--output-dir DIR",
                None => "--write",
            };
            commands.push(format!("kubectl ambient migrate {flags} {how}"));
        }
    }
    commands
}

fn reads_stdin(request: &Request) -> bool {
    request.files.iter().any(|file| file.as_os_str() == "-")
}

/// The flags that name the same input and the same plan again.
pub(super) fn flags(request: &Request, options: &Options) -> String {
    let mut flags = Vec::new();
    let mut flag = |name: &str, value: &str| flags.push(format!("{name} {}", shell_word(value)));
    for file in &request.files {
        flag("-f", &path(file));
    }
    if let Some(folder) = &request.kustomize {
        flag("-k", &path(folder));
    }
    if request.default_namespace != DEFAULT_NAMESPACE {
        flag("-n", &request.default_namespace);
    }
    for namespace in &options.namespaces {
        flag("--only", namespace);
    }
    for namespace in &options.exclude {
        flag("--exclude", namespace);
    }
    for waypoint in &options.waypoints {
        let namespace = waypoint.namespace.as_ref();
        let served = namespace.map_or_else(String::new, |namespace| format!("={namespace}"));
        flag("--waypoint", &format!("{}{served}", waypoint.name));
    }
    if let Some(cni) = options.cni {
        flag("--cni", cni.as_str());
    }
    for range in &options.pod_ranges {
        flag("--pod-cidr", &range.to_string());
    }
    match options.authz {
        AuthzMode::Deny => {}
        AuthzMode::Allow => flag("--authz", "allow"),
        AuthzMode::None => flag("--authz", "none"),
    }
    match options.strategy {
        Strategy::Edit => {}
        Strategy::Companion => flag("--strategy", "companion"),
    }
    if request.recursive {
        flags.push("-R".to_owned());
    }
    if options.enroll {
        flags.push("--enroll".to_owned());
    }
    flags.join(" ")
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
