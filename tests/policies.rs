//! The cases of `testdata/policies`: manifests, and the connections that they allow.
//!
//! A file opens with the manifests that all of its cases share, if any. A case is a second-level
//! heading with fenced blocks under it: `yaml`, the manifests; `connections`, the lines between
//! endpoints of the cluster; `external`, the lines with a range of addresses; `options`, with what
//! `migrate` is called; `plan`, what it changes; `differences`, what it does not leave as it is;
//! `findings`, what it says about connections, with what to do; `remarks`, what it says about
//! objects; `peer`, why another analyzer prints other lines. A case says nothing about what it has
//! no block for.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helper functions too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use kubectl_ambient::migrate::{self, AuthzMode, Options, Strategy, WaypointRequest};
use kubectl_ambient::model::World;
use kubectl_ambient::plan::{ChangeAction, DisplayPath, Edit, Plan};
use kubectl_ambient::reach::{self, Mode};
use kubectl_ambient::{source, yamledit};

#[path = "policies/companions.rs"]
mod companions;

/// What `policy list` prints for these manifests, in the plaintext relation.
fn connections(yaml: &str) -> String {
    let mut printed = String::new();
    for line in &reach::connectivity(&world(yaml), Mode::Plaintext).connections {
        let (source, destination) = (&line.source, &line.destination);
        writeln!(printed, "{source} => {destination} : {}", line.connections).unwrap();
    }
    printed
}

/// What is changed, as `plan` blocks have it.
fn changes(plan: &Plan) -> String {
    let mut printed = String::new();
    for change in plan.changes() {
        let object = &change.object;
        match &change.action {
            ChangeAction::Edit { edits, .. } => {
                for edit in edits {
                    let path = DisplayPath(edit.path());
                    match edit {
                        Edit::Append { item, .. } => writeln!(printed, "{object}: {path} + {item}"),
                        Edit::Add { key, value, .. } => {
                            writeln!(printed, "{object}: {path} + {key}: {value}")
                        }
                    }
                    .unwrap();
                }
            }
            ChangeAction::Create { body, .. } | ChangeAction::Replace { body, .. } => {
                let spec = yamledit::emit(&body.value()["spec"]);
                write!(printed, "{object}:\n{spec}").unwrap();
            }
        }
    }
    printed
}

/// What the proof of a plan lists, as `differences` blocks have it.
fn differences(plan: &Plan) -> String {
    let mut printed = String::new();
    for it in &plan.proof.differences {
        let pair = format!("{} => {}", it.source, it.destination);
        let connections = format!("{} {}", it.verdict, it.difference);
        writeln!(printed, "{pair} by {} : {connections}", it.relation).unwrap();
    }
    printed
}

/// The findings about connections, as `findings` blocks have them.
fn findings(plan: &Plan) -> String {
    let mut printed = String::new();
    for finding in plan.findings.iter().filter(|f| !f.flows.is_empty()) {
        let (code, subject) = (finding.code.id, &finding.subject);
        writeln!(printed, "{code} {subject}: {}", finding.message).unwrap();
        for flow in &finding.flows {
            let pair = format!("{} => {}", flow.source, flow.destination);
            let policies = flow.policies.iter().map(ToString::to_string);
            let policies = policies.collect::<Vec<_>>().join(", ");
            let (ports, example) = (&flow.connections, &flow.example);
            writeln!(printed, "  {pair} : {ports}, as {example}, by {policies}").unwrap();
        }
        for fix in &finding.fixes {
            writeln!(printed, "  fix: {fix}").unwrap();
        }
    }
    printed
}

/// The findings about objects, as `remarks` blocks have them.
fn remarks(plan: &Plan) -> String {
    let mut printed = String::new();
    for finding in plan.findings.iter().filter(|f| f.flows.is_empty()) {
        let (code, subject) = (finding.code.id, &finding.subject);
        writeln!(printed, "{code} {subject}: {}", finding.message).unwrap();
        for fix in &finding.fixes {
            writeln!(printed, "  fix: {fix}").unwrap();
        }
    }
    printed
}

/// Options from lines of a name and a value.
fn options(lines: &str) -> Options {
    let mut options = Options::default();
    for line in lines.lines() {
        let (name, value) = line.split_once(' ').unwrap();
        match (name, value) {
            ("authz", "none") => options.authz = AuthzMode::None,
            ("authz", "allow") => options.authz = AuthzMode::Allow,
            ("strategy", "companion") => options.strategy = Strategy::Companion,
            ("cni", plugin) => options.cni = Some(plugin.parse().unwrap()),
            ("exclude", namespace) => options.exclude.push(namespace.to_owned()),
            ("only", namespace) => options.namespaces.push(namespace.to_owned()),
            ("pod-cidr", range) => options.pod_ranges.push(range.parse().unwrap()),
            ("waypoint", waypoint) => {
                let (name, namespace) = waypoint.split_once('=').unwrap();
                options.waypoints.push(WaypointRequest {
                    name: name.to_owned(),
                    namespace: Some(namespace.to_owned()),
                });
            }
            _ => panic!("what is `{line}`?"),
        }
    }
    options
}

fn world(yaml: &str) -> World {
    let loaded = source::load_texts([("case.yaml", yaml)], "default");
    assert!(loaded.problems.is_empty(), "{:?}\n{yaml}", loaded.problems);
    loaded.world
}

#[test]
fn every_case_connects_as_written() {
    let mut failures = String::new();
    for case in cases() {
        let printed = Lines::of(&connections(&case.manifests));
        case.compare(&printed, &mut failures);
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn every_plan_is_as_written() {
    let mut failures = String::new();
    for case in cases() {
        let plan = migrate::plan(&world(&case.manifests), &options(&case.options));
        let blocks = [
            ("plan", &case.plan, changes as fn(&Plan) -> String),
            ("differences", &case.differences, differences),
            ("findings", &case.findings, findings),
            ("remarks", &case.remarks, remarks),
        ];
        for (kind, written, print) in blocks {
            let Some(written) = written else { continue };
            let printed = print(&plan);
            if *written != printed {
                writeln!(failures, "{}, {kind}\n{printed}", case.name).unwrap();
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn every_case_has_a_name_of_its_own_and_states_its_lines_in_order() {
    let mut names = BTreeSet::new();
    for case in cases() {
        assert!(names.insert(case.name.clone()), "twice: {}", case.name);
        let states_lines = case.connections.is_some() || case.external.is_some();
        let about_plan = [&case.plan, &case.differences, &case.findings, &case.remarks];
        let states_plan = about_plan.iter().any(|block| block.is_some());
        assert!(states_lines || states_plan, "{}", case.name);
        if let Some(lines) = &case.connections {
            assert!(lines.is_sorted(), "{}: {lines:#?}", case.name);
            assert!(!lines.iter().any(|l| is_external(l)), "{}", case.name);
        }
        if let Some(lines) = &case.external {
            assert!(lines.iter().all(|l| is_external(l)), "{}", case.name);
        }
    }
    assert!(names.len() > 50, "only {} cases were found", names.len());
}

/// Cases are judged by a program that shares nothing with this one, where such a program is given.
#[test]
fn another_analyzer_agrees_except_where_a_case_says_so() {
    let Some(analyzer) = std::env::var_os("AMBIENT_PEER_NETPOL_ANALYZER").map(PathBuf::from) else {
        return;
    };
    let mut failures = String::new();
    for case in cases() {
        let mut differences = String::new();
        match analyzed_by(&analyzer, &case.manifests) {
            Ok(printed) => {
                let printed = Lines::of(&printed).in_ipv4();
                case.in_ipv4().compare(&printed, &mut differences);
            }
            Err(refusal) => writeln!(differences, "{}: {refusal}", case.name).unwrap(),
        }
        match (&case.peer, differences.is_empty()) {
            (None, true) | (Some(_), false) => {}
            (None, false) => failures.push_str(&differences),
            (Some(why), true) => {
                writeln!(failures, "{}: agrees after all ({why})", case.name).unwrap();
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// What the other analyzer prints, or its refusal.
fn analyzed_by(analyzer: &Path, yaml: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("case.yaml"), yaml).unwrap();
    let output = Command::new(analyzer)
        .args(["list", "--quiet", "--multiple-networks=false", "--dirpath"])
        .arg(folder.path())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if !output.status.success() {
        return Err(text(output.stderr));
    }
    Ok(text(output.stdout).replace("[External]", ""))
}

/// One case of a file.
#[derive(Debug, Clone, Default)]
struct Case {
    name: String,
    manifests: String,
    connections: Option<Vec<String>>,
    external: Option<Vec<String>>,
    plan: Option<String>,
    differences: Option<String>,
    findings: Option<String>,
    remarks: Option<String>,
    options: String,
    peer: Option<String>,
}

impl Case {
    fn set(&mut self, kind: &str, block: &str) {
        let lines = || Some(block.lines().map(str::to_owned).collect());
        match kind {
            "yaml" => self.manifests = format!("{}\n---\n{block}", self.manifests),
            "connections" => self.connections = lines(),
            "external" => self.external = lines(),
            "plan" => self.plan = Some(block.to_owned()),
            "differences" => self.differences = Some(block.to_owned()),
            "findings" => self.findings = Some(block.to_owned()),
            "remarks" => self.remarks = Some(block.to_owned()),
            "options" => block.clone_into(&mut self.options),
            "peer" => self.peer = Some(block.trim().to_owned()),
            other => panic!("{}: what is a block of `{other}`?", self.name),
        }
    }

    fn compare(&self, printed: &Lines, failures: &mut String) {
        let blocks = [
            (&self.connections, &printed.connections),
            (&self.external, &printed.external),
        ];
        for (expected, printed) in blocks {
            let Some(expected) = expected else { continue };
            let expected: BTreeSet<&String> = expected.iter().collect();
            let printed: BTreeSet<&String> = printed.iter().collect();
            if expected != printed {
                writeln!(failures, "{}", self.name).unwrap();
                for line in expected.difference(&printed) {
                    writeln!(failures, "  - {line}").unwrap();
                }
                for line in printed.difference(&expected) {
                    writeln!(failures, "  + {line}").unwrap();
                }
            }
        }
    }

    fn in_ipv4(&self) -> Self {
        let ipv4 = |lines: &Vec<String>| lines.iter().filter(|l| !is_ipv6(l)).cloned().collect();
        Self {
            external: self.external.as_ref().map(ipv4),
            ..self.clone()
        }
    }
}

/// Printed lines, by what they speak of.
#[derive(Debug)]
struct Lines {
    connections: Vec<String>,
    external: Vec<String>,
}

impl Lines {
    fn of(printed: &str) -> Self {
        let (external, connections) = printed
            .lines()
            .map(str::to_owned)
            .partition(|line| is_external(line));
        Self {
            connections,
            external,
        }
    }

    /// IPv4 alone, with ranges that follow on each other joined: the other analyzer cuts ranges
    /// wherever any policy does.
    fn in_ipv4(self) -> Self {
        let mut ranges: BTreeMap<(bool, String, String), Vec<(u32, u32)>> = BTreeMap::new();
        for line in self.external.iter().filter(|l| !is_ipv6(l)) {
            let (source, destination, connections) = parts(line);
            let inbound = !source.ends_with(']');
            let (range, endpoint) = if inbound {
                (source, destination)
            } else {
                (destination, source)
            };
            let key = (inbound, endpoint.to_owned(), connections.to_owned());
            ranges.entry(key).or_default().push(bounds(range));
        }
        let mut external = Vec::new();
        for ((inbound, endpoint, connections), mut found) in ranges {
            found.sort_unstable();
            for (first, last) in joined(&found) {
                let range = format!("{}-{}", Ipv4Addr::from(first), Ipv4Addr::from(last));
                external.push(if inbound {
                    format!("{range} => {endpoint} : {connections}")
                } else {
                    format!("{endpoint} => {range} : {connections}")
                });
            }
        }
        Self { external, ..self }
    }
}

fn joined(sorted: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut all: Vec<(u32, u32)> = Vec::new();
    for &(first, last) in sorted {
        match all.last_mut() {
            Some(before) if before.1.checked_add(1) == Some(first) => before.1 = last,
            _ => all.push((first, last)),
        }
    }
    all
}

fn bounds(range: &str) -> (u32, u32) {
    let (first, last) = range.split_once('-').unwrap();
    let number = |text: &str| text.parse::<Ipv4Addr>().unwrap().to_bits();
    (number(first), number(last))
}

/// Source, destination and connections.
fn parts(line: &str) -> (&str, &str, &str) {
    let (pair, connections) = line.split_once(" : ").unwrap();
    let (source, destination) = pair.split_once(" => ").unwrap();
    (source, destination, connections)
}

fn is_external(line: &str) -> bool {
    let (source, destination, _) = parts(line);
    !source.ends_with(']') || !destination.ends_with(']')
}

fn is_ipv6(line: &str) -> bool {
    let (source, destination, _) = parts(line);
    source.contains(':') || destination.contains(':')
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/policies");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().flat_map(|file| cases_of(file)).collect()
}

fn cases_of(file: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut shared = Case::default();
    let mut cases: Vec<Case> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("## ") {
            cases.push(Case {
                name: format!("{}: {name}", file.file_stem().unwrap().display()),
                manifests: shared.manifests.clone(),
                ..Case::default()
            });
        } else if let Some(kind) = line.strip_prefix("```") {
            let block = lines.by_ref().take_while(|l| *l != "```");
            let block: String = block.flat_map(|l| [l, "\n"]).collect();
            let case = cases.last_mut().unwrap_or(&mut shared);
            case.set(kind, &block);
        }
    }
    assert_eq!(
        cases.len(),
        text.matches("\n## ").count(),
        "{}",
        file.display()
    );
    cases
}
