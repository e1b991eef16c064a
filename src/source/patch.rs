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
        let mut paths = Vec::new();
        match root.kind() {
            NodeKind::Sequence => root.items().for_each(|o| operation(o, &mut paths)),
            NodeKind::Mapping | NodeKind::Scalar => {
                leaves(root, &mut Vec::new(), &mut paths);
                paths.retain(|path| !is_identity(path));
            }
        }
        if !paths.iter().all(|path| is_harmless(&target, path)) {
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

/// What one operation of JSON 6902 touches.
fn operation(operation: View<'_>, paths: &mut Vec<Vec<String>>) {
    let text = |key| operation.get(key).and_then(View::text).unwrap_or("");
    if text("op") == "test" {
        return;
    }
    let segments = |pointer: &str| -> Vec<String> {
        let segments = pointer.split('/').skip(1);
        segments
            .map(|s| s.replace("~1", "/").replace("~0", "~"))
            .collect()
    };
    if text("op") == "move" {
        paths.push(segments(text("from")));
    }
    let mut path = segments(text("path"));
    match operation.get("value") {
        Some(value) => leaves(value, &mut path, paths),
        None => paths.push(path),
    }
}

/// The paths of all scalars and of what is empty. Recursion is bounded by the nesting limit of the parser.
fn leaves(view: View<'_>, at: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    match view.kind() {
        NodeKind::Mapping if view.written_entries().next().is_some() => {
            for (key, value) in view.entries() {
                at.push(key.to_owned());
                leaves(value, at, paths);
                at.pop();
            }
        }
        NodeKind::Sequence if view.items().len() > 0 => {
            for item in view.items() {
                at.push("-".to_owned());
                leaves(item, at, paths);
                at.pop();
            }
        }
        NodeKind::Mapping | NodeKind::Sequence | NodeKind::Scalar => paths.push(at.clone()),
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

/// Whether a field of the objects of a target decides about nothing that analysis looks at. A kind
/// that is an expression is taken for one that it reads.
pub(super) fn is_harmless(target: &Target, path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let kind = target.kind.as_deref().unwrap_or("");
    let is_workload = WORKLOADS.contains(&kind);
    match path.as_slice() {
        ["metadata", "annotations", key] => !is_of_mesh(key),
        ["metadata", "labels", key] => {
            !matches!(kind, "" | "Pod" | "Namespace") && !is_of_mesh(key)
        }
        ["spec", pod @ ..] if kind == "Pod" => is_harmless_in_pod(pod),
        ["spec", "jobTemplate", "spec", "template", template @ ..]
        | ["spec", "template", template @ ..]
            if is_workload =>
        {
            match template {
                ["metadata", "annotations", key] => !is_of_mesh(key),
                ["spec", pod @ ..] => is_harmless_in_pod(pod),
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

fn is_harmless_in_pod(path: &[&str]) -> bool {
    match path {
        ["containers" | "initContainers", _, field, ..] => OF_CONTAINERS.contains(field),
        [field, ..] => OF_SCHEDULING.contains(field),
        [] => false,
    }
}

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

/// Fields of containers that decide about no connection. A name finds the container to patch.
const OF_CONTAINERS: [&str; 8] = [
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "name",
    "resources",
    "securityContext",
    "volumeMounts",
];
