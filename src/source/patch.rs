//! What a patch of kustomize changes, and whether analysis reads any of it.

use std::path::Path;

use super::gathered::small_text;
use crate::yaml::{Document, NodeKind, View, split};

/// Patches beyond this many nodes, aliases expanded, are not looked into.
const LARGEST_PATCH: usize = 1 << 16;

/// Which objects something is for. Kustomize reads both as regular expressions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// The kind; any when absent.
    pub(super) kind: Option<String>,
    /// The name; any when absent.
    pub(super) name: Option<String>,
}

impl Target {
    /// The `target` of a patch, or the `select` of a replacement.
    pub(super) fn of(selection: View<'_>) -> Self {
        let text = |key| Some(selection.get(key)?.text()?.to_owned());
        Self {
            kind: text("kind"),
            name: text("name"),
        }
    }

    /// The object that a patch without a target names itself.
    fn named_in(body: View<'_>) -> Self {
        let metadata = body.get("metadata");
        let name = metadata.and_then(|metadata| metadata.get("name"));
        Self {
            kind: body.get("kind").and_then(View::text).map(str::to_owned),
            name: name.and_then(View::text).map(str::to_owned),
        }
    }

    /// Whether it is for an object; where it is an expression that is not evaluated here, it is.
    pub(super) fn may_be(&self, kind: &str, name: &str) -> bool {
        let literal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let fits = |wanted: &Option<String>, is: &str| {
            let wanted = wanted.as_deref().filter(|w| !w.is_empty());
            wanted.is_none_or(|wanted| wanted == is || !wanted.chars().all(literal))
        };
        fits(&self.kind, kind) && fits(&self.name, name)
    }
}

/// The objects that a patch changes in a way which analysis could see.
///
/// `inline` is the text of the patch in place, else it is in the file `path`. What cannot be read
/// changes whatever its target says.
pub(super) fn touched(target: Option<&Target>, patch: Source<'_>) -> Vec<Target> {
    let unknown = || vec![target.cloned().unwrap_or_default()];
    let Some(text) = patch.text() else {
        return unknown();
    };
    let mut touched = Vec::new();
    for chunk in split(&text) {
        let Ok(document) = Document::parse(chunk) else {
            return unknown();
        };
        let Some(root) = document.root() else {
            continue;
        };
        if document.expanded_size() > LARGEST_PATCH {
            return unknown();
        }
        let target = target.cloned();
        let target = target.unwrap_or_else(|| Target::named_in(root));
        let mut changes = Vec::new();
        match root.kind() {
            NodeKind::Sequence => root.items().for_each(|o| operation(o, &mut changes)),
            NodeKind::Mapping | NodeKind::Scalar => {
                leaves(root, &mut Vec::new(), &mut changes);
                changes.retain(|change| !is_identity(&change.path));
            }
        }
        if !changes.iter().all(|change| change.is_harmless(&target)) {
            touched.push(target);
        }
    }
    touched
}

/// Where the text of a patch is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'t> {
    Inline(&'t str),
    File(&'t Path),
}

impl Source<'_> {
    pub(super) fn text(self) -> Option<String> {
        match self {
            Self::Inline(text) => Some(text.to_owned()),
            Self::File(path) => small_text(path),
        }
    }
}

/// A field that changes, with all that is below it.
pub(super) struct Change<'d> {
    /// From the object down. Which item of a sequence it is does not matter.
    pub(super) path: Vec<String>,
    /// What a scalar becomes, if that is known.
    pub(super) becomes: Option<&'d str>,
}

impl Change<'_> {
    /// Whether it decides about nothing that analysis looks at in the objects of a target. What is
    /// not known could be anything.
    pub(super) fn is_harmless(&self, target: &Target) -> bool {
        let mut path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let mut becomes = self.becomes;
        // A directive of a strategic merge, `$patch: replace` for one, is about what it stands in.
        if let Some(directive) = path.iter().position(|key| key.starts_with('$')) {
            path.truncate(directive);
            becomes = None;
        }
        is_harmless(target.kind.as_deref().unwrap_or(""), &path, becomes)
    }
}

/// What one operation of JSON 6902 changes: what it writes, and what was there before (RFC 6902,
/// section 4), which an `add` too replaces if it is the member of an object.
fn operation<'d>(operation: View<'d>, changes: &mut Vec<Change<'d>>) {
    let text = |key| operation.get(key).and_then(View::text).unwrap_or("");
    if text("op") == "test" {
        return;
    }
    let whole = |pointer: &str| {
        let segments = pointer.split('/').skip(1);
        let segments = segments.map(|s| s.replace("~1", "/").replace("~0", "~"));
        Change {
            path: segments.collect(),
            becomes: None,
        }
    };
    if text("op") == "move" {
        changes.push(whole(text("from")));
    }
    let written = whole(text("path"));
    let value = operation.get("value");
    if let Some(value) = value {
        leaves(value, &mut written.path.clone(), changes);
    }
    let is_item = |last: &String| last == "-" || last.bytes().all(|b| b.is_ascii_digit());
    let inserts = text("op") == "add" && written.path.last().is_some_and(is_item);
    if value.is_none() || !inserts {
        changes.push(written);
    }
}

/// All scalars and what is empty. Recursion is bounded by the nesting limit of the parser.
fn leaves<'d>(view: View<'d>, at: &mut Vec<String>, changes: &mut Vec<Change<'d>>) {
    match view.kind() {
        NodeKind::Mapping if view.written_entries().next().is_some() => {
            for (key, value) in view.entries() {
                at.push(key.to_owned());
                leaves(value, at, changes);
                at.pop();
            }
        }
        NodeKind::Sequence if view.items().len() > 0 => {
            for item in view.items() {
                at.push("-".to_owned());
                leaves(item, at, changes);
                at.pop();
            }
        }
        NodeKind::Mapping | NodeKind::Sequence | NodeKind::Scalar => changes.push(Change {
            path: at.clone(),
            becomes: view.text(),
        }),
    }
}

/// Whether a field says which object a patch is for, where nothing else does.
fn is_identity(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(
        path.as_slice(),
        ["apiVersion" | "kind"] | ["metadata", "name" | "namespace"]
    )
}

/// Whether a field decides about nothing that analysis looks at. A kind that is an expression is
/// taken for one that it reads.
fn is_harmless(kind: &str, path: &[&str], becomes: Option<&str>) -> bool {
    let is_workload = WORKLOADS.contains(&kind);
    match path {
        ["metadata", "annotations", key] => !is_of_mesh(key),
        ["metadata", "labels", key] => {
            !matches!(kind, "" | "Pod" | "Namespace") && !is_of_mesh(key)
        }
        ["spec", pod @ ..] if kind == "Pod" => is_harmless_in_pod(pod, becomes),
        ["spec", "jobTemplate", "spec", "template", template @ ..]
        | ["spec", "template", template @ ..]
            if is_workload =>
        {
            match template {
                ["metadata", "annotations", key] => !is_of_mesh(key),
                ["spec", pod @ ..] => is_harmless_in_pod(pod, becomes),
                _ => false,
            }
        }
        ["spec", field, ..] => is_workload && OF_ROLLOUTS.contains(field),
        _ => false,
    }
}

/// Whether the mesh reads a label or an annotation.
pub(super) fn is_of_mesh(key: &str) -> bool {
    key.contains("istio.io")
}

fn is_harmless_in_pod(path: &[&str], becomes: Option<&str>) -> bool {
    match path {
        // A pod with a container of this name has a sidecar.
        ["containers" | "initContainers", _, "name"] => becomes.is_some_and(|b| b != PROXY),
        ["containers" | "initContainers", _, field, ..] => OF_CONTAINERS.contains(field),
        [field, ..] => OF_SCHEDULING.contains(field),
        [] => false,
    }
}

/// Name of the container that is Istio's proxy.
const PROXY: &str = "istio-proxy";

/// Kinds that make pods from a template.
const WORKLOADS: [&str; 7] = [
    "CronJob",
    "DaemonSet",
    "Deployment",
    "Job",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
];

/// Fields of workloads that say how many pods there are and how they are replaced.
const OF_ROLLOUTS: [&str; 8] = [
    "minReadySeconds",
    "paused",
    "podManagementPolicy",
    "progressDeadlineSeconds",
    "replicas",
    "revisionHistoryLimit",
    "strategy",
    "updateStrategy",
];

/// Fields of pods that say when, where and with what they run. Not `nodeSelector`, which may choose Windows.
const OF_SCHEDULING: [&str; 8] = [
    "affinity",
    "imagePullSecrets",
    "priorityClassName",
    "securityContext",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
];

/// Fields of containers that decide about no connection.
const OF_CONTAINERS: [&str; 7] = [
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "resources",
    "securityContext",
    "volumeMounts",
];
