//! From single objects to a world: duplicates, namespaces, order and coverage.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{
    Coverage, GenericObject, Kind, Meta, Namespace, ObjectRef, Origin, World, namespace_name_label,
};

use super::SourceFile;
use super::controllers;
use super::decode::{Object, Read};
use super::document::Documents;
use super::mesh;
use super::problem::{Defect, Lines, Problem};

/// Puts a world together. `incomplete` says that a whole file could not be read.
pub(super) fn world(
    mut documents: Documents,
    incomplete: bool,
    files: &[SourceFile],
    problems: &mut Vec<Problem>,
) -> World {
    let mut world = World {
        templates: std::mem::take(&mut documents.templates),
        ..World::default()
    };
    let mut seen = Seen::new(files);
    let mut mentioned = std::collections::BTreeSet::new();
    for read in documents.objects {
        if let Some(problem) = seen.duplicate(&read) {
            problems.push(problem);
            documents.unread.extend(read.coverage);
            continue;
        }
        if let Some(meta) = read.object.meta()
            && !meta.namespace.is_empty()
        {
            mentioned.insert(meta.namespace.clone());
        }
        add(&mut world, read.object);
    }
    for name in mentioned {
        world.add_namespace(&name);
    }
    sort(&mut world);
    controllers::label(&mut world);
    for kind in Kind::ALL {
        let partial = incomplete || documents.unread.contains(&kind);
        let coverage = if partial {
            Coverage::Partial
        } else {
            Coverage::Given
        };
        world.coverage.insert(kind, coverage);
    }
    world
}

fn add(world: &mut World, object: Object) {
    match object {
        Object::Namespace(mut meta) => {
            // The API server writes this label over whatever the object has.
            meta.labels.extend(namespace_name_label(&meta.name));
            let namespace = Namespace {
                declared: true,
                meta,
            };
            let name = namespace.meta.name.clone();
            world.namespaces.insert(name, namespace);
        }
        Object::Workload(object) => world.workloads.push(*object),
        Object::Service(object) => world.services.push(object),
        Object::ServiceAccount(meta) => world.service_accounts.push(meta),
        Object::NetworkPolicy(object) => world.network_policies.push(object),
        Object::Gateway(object) => world.gateways.push(object),
        Object::AuthorizationPolicy(object) => world.authorization_policies.push(object),
        Object::PeerAuthentication(object) => world.peer_authentications.push(object),
        Object::RequestAuthentication(object) => world.request_authentications.push(object),
        Object::Networking(object) => world.networking.push(object),
        Object::PluginPolicy(object) => world.plugin_policies.push(object),
        Object::Configuration(object) => {
            mesh::read(&object, &mut world.mesh);
            world.configuration.push(object);
        }
        Object::Other(name, maker) => {
            *world.others.entry(name).or_default() += 1;
            world.makers.extend(maker);
        }
    }
}

fn sort(world: &mut World) {
    fn by<'m>(meta: &'m Meta, kind: &'m str) -> (&'m str, &'m str, &'m str, &'m Origin) {
        (&meta.namespace, &meta.name, kind, &meta.origin)
    }
    fn generic(objects: &mut [GenericObject]) {
        objects.sort_by(|a, b| by(&a.meta, &a.kind).cmp(&by(&b.meta, &b.kind)));
    }
    world
        .workloads
        .sort_by(|a, b| by(&a.meta, a.kind.as_str()).cmp(&by(&b.meta, b.kind.as_str())));
    world
        .services
        .sort_by(|a, b| by(&a.meta, "").cmp(&by(&b.meta, "")));
    world
        .service_accounts
        .sort_by(|a, b| by(a, "").cmp(&by(b, "")));
    world
        .network_policies
        .sort_by(|a, b| by(&a.meta, "").cmp(&by(&b.meta, "")));
    world
        .gateways
        .sort_by(|a, b| by(&a.meta, "").cmp(&by(&b.meta, "")));
    world
        .authorization_policies
        .sort_by(|a, b| by(&a.meta, "").cmp(&by(&b.meta, "")));
    world
        .peer_authentications
        .sort_by(|a, b| by(&a.meta, "").cmp(&by(&b.meta, "")));
    world
        .request_authentications
        .sort_by(|a, b| by(&a.meta, "").cmp(&by(&b.meta, "")));
    world.makers.sort();
    world.mesh.configs.sort();
    generic(&mut world.networking);
    generic(&mut world.plugin_policies);
    generic(&mut world.configuration);
}

/// Group, kind, namespace and name: what two objects cannot share.
type Key = (String, String, String, String);

/// The objects that were read so far.
struct Seen<'f> {
    files: &'f [SourceFile],
    origins: BTreeMap<Key, Origin>,
    lines: BTreeMap<Arc<str>, Lines<'f>>,
}

impl<'f> Seen<'f> {
    fn new(files: &'f [SourceFile]) -> Self {
        Self {
            files,
            origins: BTreeMap::new(),
            lines: BTreeMap::new(),
        }
    }

    /// The problem that an object is there already; if not, it is from now on.
    fn duplicate(&mut self, read: &Read) -> Option<Problem> {
        let meta = read.object.meta()?;
        let key = (
            read.group.clone(),
            read.kind.clone(),
            meta.namespace.clone(),
            meta.name.clone(),
        );
        let Some(first) = self.origins.get(&key) else {
            self.origins.insert(key, meta.origin.clone());
            return None;
        };
        let object = ObjectRef {
            namespace: (!meta.namespace.is_empty()).then(|| meta.namespace.clone()),
            kind: read.kind.clone(),
            name: meta.name.clone(),
        };
        let defect = Defect {
            line: meta.origin.line,
            column: 1,
            message: format!("`{object}` is defined twice: here and at {first}"),
            hint: Some("remove one of them: only the last one applied would count".to_owned()),
            object: Some(object),
        };
        let file = &meta.origin.file;
        let files = self.files;
        let lines = self.lines.entry(Arc::clone(file)).or_insert_with(|| {
            let text = files.iter().find(|f| f.name == *file);
            Lines::new(text.map_or("", |f| &f.text), 1)
        });
        Some(lines.problem(file, defect))
    }
}
