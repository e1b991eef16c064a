//! What of the input is analysed, what is not, and what was not read.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Workload, World};

use super::text::Count;

/// How many objects of which kinds there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Objects that the analysis reads, by kind.
    pub analysed: BTreeMap<String, usize>,
    /// Policies that decide about traffic in ways that are not evaluated, by `kind.group`.
    pub not_evaluated: BTreeMap<String, usize>,
    /// Objects of other kinds, by `kind.group`.
    pub others: BTreeMap<String, usize>,
    /// Pods that have ended, which are left out.
    pub ended: usize,
    /// Files with Helm templates, which say nothing before they are rendered.
    pub templates: usize,
}

impl Inventory {
    /// What a world holds, and what was left out of it.
    pub fn of(world: &World) -> Self {
        let mut analysed: BTreeMap<String, usize> = BTreeMap::new();
        let mut add = |kind: &str, count: usize| {
            if count > 0 {
                *analysed.entry(kind.to_owned()).or_default() += count;
            }
        };
        let declared = world.namespaces.values().filter(|n| n.declared);
        add("Namespace", declared.count());
        // Pods of a StatefulSet may be there one by one.
        let (ended, running): (Vec<&Workload>, Vec<&Workload>) =
            world.workloads.iter().partition(|w| w.terminated);
        let workloads: BTreeSet<_> = running.into_iter().map(Workload::reference).collect();
        for workload in workloads {
            add(&workload.kind, 1);
        }
        add("Service", world.services.len());
        add("ServiceAccount", world.service_accounts.len());
        add("NetworkPolicy", world.network_policies.len());
        add("Gateway", world.gateways.len());
        add("AuthorizationPolicy", world.authorization_policies.len());
        add("PeerAuthentication", world.peer_authentications.len());
        add("RequestAuthentication", world.request_authentications.len());
        for object in world.networking.iter().chain(&world.configuration) {
            add(&object.kind, 1);
        }
        let mut not_evaluated = BTreeMap::new();
        for object in &world.plugin_policies {
            let kind = format!("{}.{}", object.kind, object.group);
            *not_evaluated.entry(kind).or_default() += 1;
        }
        Self {
            analysed,
            not_evaluated,
            others: world.others.clone(),
            ended: ended.len(),
            templates: world.templates.len(),
        }
    }

    /// Everything in words, a line each for what was treated alike.
    pub(super) fn lines(&self) -> Vec<String> {
        let kinds = |kinds: &BTreeMap<String, usize>| {
            let kinds = kinds
                .iter()
                .map(|(kind, count)| match kind.split_once('.') {
                    Some(_) => format!("{count} {kind}"),
                    None => Count(*count, kind).to_string(),
                });
            kinds.collect::<Vec<_>>().join(", ")
        };
        let mut lines = Vec::new();
        if self.analysed.is_empty() {
            lines.push("nothing that is analysed".to_owned());
        } else {
            lines.push(kinds(&self.analysed));
        }
        if !self.not_evaluated.is_empty() {
            lines.push(format!("not evaluated: {}", kinds(&self.not_evaluated)));
        }
        if !self.others.is_empty() {
            lines.push(format!("not analysed: {}", kinds(&self.others)));
        }
        if self.ended > 0 {
            lines.push(format!("ended, and left out: {}", Count(self.ended, "Pod")));
        }
        if self.templates > 0 {
            let files = Count(self.templates, "Helm template");
            lines.push(format!("not read: {files}"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source;

    #[test]
    fn objects_are_counted_by_what_is_done_with_them() {
        let object = |version: &str, kind: &str, name: &str, rest: &str| {
            format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}}}\n{rest}---\n")
        };
        let policy = "spec: {podSelector: {}}\n";
        let text = [
            object("networking.k8s.io/v1", "NetworkPolicy", "a", policy),
            object("networking.k8s.io/v1", "NetworkPolicy", "b", policy),
            object(
                "v1",
                "Pod",
                "c",
                "spec: {containers: [{name: c, image: c}]}\n",
            ),
            object(
                "v1",
                "Pod",
                "done",
                "spec: {containers: [{name: c, image: c}]}\nstatus: {phase: Succeeded}\n",
            ),
            object("v1", "ConfigMap", "d", ""),
            object("networking.istio.io/v1", "Sidecar", "e", "spec: {}\n"),
            object("cilium.io/v2", "CiliumNetworkPolicy", "f", "spec: {}\n"),
            object("v1", "Secret", "g", ""),
            object("example.com/v1", "Widget", "h", ""),
            object("v1", "Pod", "{{ .Values.name }}", ""),
        ];
        let loaded = source::load_texts([("all.yaml", text.concat().as_str())], "default");
        assert_eq!(loaded.problems, []);
        let inventory = Inventory::of(&loaded.world);
        insta::assert_snapshot!(inventory.lines().join("\n"), @"
        1 ConfigMap, 2 NetworkPolicies, 1 Pod, 1 Sidecar
        not evaluated: 1 CiliumNetworkPolicy.cilium.io
        not analysed: 1 Secret, 1 Widget.example.com
        ended, and left out: 1 Pod
        not read: 1 Helm template
        ");
        let nothing = Inventory::of(&World::default());
        assert_eq!(nothing.lines(), ["nothing that is analysed"]);
    }
}
