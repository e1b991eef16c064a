//! What the configuration of the mesh says that the comparison does not follow.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::finding::{Finding, codes};
use crate::migrate::setting::Setting;
use crate::migrate::setting::unread::unknown;
use crate::model::{GenericObject, MeshConfig, ObjectRef, Workload};
use crate::plan::{Comparison, Relation};

/// Reports root namespaces that differ, and what sidecars refuse on the way out.
pub(crate) fn of_mesh(
    setting: &Setting<'_>,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    unreadable(setting, differences, findings);
    roots_differ(setting, differences, findings);
    refused_outward(setting, differences, findings);
    differences.sort();
}

/// Nobody knows what such a mesh is like.
fn unreadable(
    setting: &Setting<'_>,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    for (object, origin) in &setting.world.mesh.unreadable {
        let because = format!("the MeshConfig in `{object}` cannot be read");
        let about = unknown(Relation::Tunnel, &everywhere(object), because.clone());
        differences.push(about);
        let (code, origin) = (&codes::MESH_CONFIG_UNREADABLE, origin.clone());
        findings.push(Finding::new(code, object.clone(), origin, because));
    }
}

/// Of several root namespaces each is one for a part of the pods, by their revision.
fn roots_differ(
    setting: &Setting<'_>,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    let world = &*setting.world;
    let roots = world.mesh.root_namespaces();
    let metas = world.authorization_policies.iter().map(|p| &p.meta);
    let metas = metas.chain(world.peer_authentications.iter().map(|p| &p.meta));
    let in_roots: BTreeSet<&str> = metas
        .map(|meta| meta.namespace.as_str())
        .filter(|namespace| roots.contains(namespace))
        .collect();
    let taken = world.mesh.root_namespace();
    let naming = |other: bool| {
        let configs = world.mesh.configs.iter();
        let named = configs.filter_map(|c| Some((c, c.root_namespace.as_deref()?)));
        named.filter(move |(_, root)| (*root != taken) == other)
    };
    let other = naming(true).find(|(_, root)| in_roots.contains(root));
    let other = other.or_else(|| naming(true).next());
    let (Some((first, _)), Some((other, root))) = (naming(false).next(), other) else {
        return;
    };
    if in_roots.is_empty() {
        return;
    }
    let because = format!(
        "`{}` and `{}` name different root namespaces: policies of `{taken}` are taken to hold \
         everywhere, and those of `{root}` in their own namespace",
        first.object, other.object,
    );
    differences.push(unknown(
        Relation::Tunnel,
        &everywhere(&other.object),
        because.clone(),
    ));
    let (code, origin) = (&codes::ROOT_NAMESPACES_DIFFER, other.origin.clone());
    findings.push(Finding::new(code, other.object.clone(), origin, because));
}

/// An object as one that is about the whole cluster.
fn everywhere(object: &ObjectRef) -> ObjectRef {
    ObjectRef {
        namespace: None,
        ..object.clone()
    }
}

/// Sidecars may refuse connections to hosts that nothing declares, and ztunnel lets them out.
fn refused_outward(
    setting: &Setting<'_>,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    let world = &*setting.world;
    let config = world.mesh.configs.iter().find(|c| c.registry_only);
    let sidecars = Sidecars::of(setting);
    let mut by_mesh: Vec<(usize, &Workload)> = Vec::new();
    let mut refused: BTreeSet<(String, ObjectRef)> = BTreeSet::new();
    for (index, workload) in world.workloads.iter().enumerate() {
        let leaves = setting.scope.workload(index).joins()
            && setting.has_proxy_today(index) != Some(false)
            && !setting.is_imagined(index);
        if !leaves {
            continue;
        }
        let namespace = workload.meta.namespace.clone();
        match sidecars.policy(workload) {
            Some((sidecar, true)) => {
                refused.insert((namespace, sidecar.reference()));
            }
            Some((_, false)) => {}
            None => {
                if let Some(MeshConfig { object, .. }) = config {
                    by_mesh.push((index, workload));
                    refused.insert((namespace, object.clone()));
                }
            }
        }
    }
    differences.extend(refused.into_iter().map(|(namespace, object)| {
        let because = format!(
            "`{object}` has sidecars refuse connections to hosts that nothing declares, and ztunnel \
             lets them out"
        );
        Comparison {
            source: format!("{namespace}/(any pod)"),
            destination: "(any)".to_owned(),
            ..unknown(Relation::Plaintext, &object, because)
        }
    }));
    let Some((config, (_, first))) = config.zip(by_mesh.first()) else {
        return;
    };
    let surely = |(index, _): &(usize, _)| setting.has_proxy_today(*index) == Some(true);
    let unless = if by_mesh.iter().any(surely) {
        ""
    } else {
        ", as far as there are any, which the input does not tell,"
    };
    let others = match by_mesh.len() {
        1 => String::new(),
        more => format!(" and {} more", more - 1),
    };
    let message = format!(
        "by `outboundTrafficPolicy.mode: REGISTRY_ONLY` the sidecars of `{}`{others}{unless} refuse \
         connections to hosts that nothing declares, and ztunnel lets them out",
        first.reference()
    );
    let (code, origin) = (&codes::UNKNOWN_HOSTS_LET_OUT, config.origin.clone());
    findings.push(Finding::new(code, config.object.clone(), origin, message));
}

/// The Sidecar objects of a world by namespace.
struct Sidecars<'w> {
    root_namespace: &'w str,
    by_namespace: BTreeMap<&'w str, Vec<&'w GenericObject>>,
}

impl<'w> Sidecars<'w> {
    fn of(setting: &'w Setting<'_>) -> Self {
        let mut by_namespace: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        let objects = setting.world.networking.iter();
        for object in objects.filter(|o| o.kind == "Sidecar" && o.group == "networking.istio.io") {
            let here = by_namespace.entry(object.meta.namespace.as_str());
            here.or_default().push(object);
        }
        Self {
            root_namespace: setting.world.mesh.root_namespace(),
            by_namespace,
        }
    }

    /// The object that says what a workload's sidecar does with unknown hosts, and whether it
    /// refuses them (istiod `pilot/pkg/model/sidecar.go`: the object that selects the pod, else that
    /// of its namespace, else that of the root namespace; what it leaves out the mesh decides). A
    /// policy without a mode is the first of the modes, which refuses.
    fn policy(&self, workload: &Workload) -> Option<(&'w GenericObject, bool)> {
        let own = |select: bool| {
            let here = self.at(&workload.meta.namespace);
            here.filter(move |o| select == has_selector(o))
                .find(|o| !select || selects(o, workload))
        };
        let wide = || self.at(self.root_namespace).find(|o| !has_selector(o));
        let object = own(true).or_else(|| own(false)).or_else(wide)?;
        let policy = object.body.pointer("/spec/outboundTrafficPolicy")?;
        let mode = policy.get("mode").and_then(Value::as_str);
        Some((object, mode.is_none_or(|mode| mode == "REGISTRY_ONLY")))
    }

    fn at(&self, namespace: &str) -> impl Iterator<Item = &'w GenericObject> {
        let here = self.by_namespace.get(namespace);
        here.into_iter().flatten().copied()
    }
}

/// Where a Sidecar says which pods it is for.
const SELECTOR: &str = "/spec/workloadSelector/labels";

fn has_selector(object: &GenericObject) -> bool {
    let labels = object.body.pointer(SELECTOR).and_then(Value::as_object);
    labels.is_some_and(|labels| !labels.is_empty())
}

fn selects(object: &GenericObject, workload: &Workload) -> bool {
    let labels = object.body.pointer(SELECTOR).and_then(Value::as_object);
    let mut labels = labels.into_iter().flatten();
    labels.all(|(key, value)| workload.pod.labels.get(key).map(String::as_str) == value.as_str())
}
