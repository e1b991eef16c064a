//! From the tree of a document to objects.
//!
//! An object that the API server would reject is reported with everything that is wrong with it,
//! and left out. The module knows nothing of files beyond the name that it puts into origins.

mod container;
mod field;
mod istio;
mod json;
mod meta;
mod policy;
mod reading;
mod service;
mod workload;

use std::collections::BTreeSet;

use crate::model::{
    AuthorizationPolicy, Gateway, GenericObject, Kind, Maker, Meta, NetworkPolicy, ObjectRef,
    PeerAuthentication, RequestAuthentication, Service, Workload,
};
use crate::source::kinds::{self, Class, Lookup};
use crate::source::problem::{Defect, Note};
use crate::yaml::{NodeKind, View};

use field::{Field, Mapping};
use meta::Identity;
use reading::Reading;

pub(super) use reading::Session;

/// Lists in lists; aliases could make more of them than the text has.
const DEEPEST_LIST: usize = 16;

/// One object that was read.
#[derive(Debug)]
pub(super) enum Object {
    Namespace(Meta),
    Workload(Box<Workload>),
    Service(Service),
    ServiceAccount(Meta),
    NetworkPolicy(NetworkPolicy),
    Gateway(Gateway),
    AuthorizationPolicy(AuthorizationPolicy),
    PeerAuthentication(PeerAuthentication),
    RequestAuthentication(RequestAuthentication),
    Networking(GenericObject),
    PluginPolicy(GenericObject),
    Configuration(GenericObject),
    /// Counted only: `kind.group`, and what is known of the pods that it makes.
    Other(String, Option<Maker>),
}

impl Object {
    /// Metadata; `None` for objects that are counted only.
    pub(super) fn meta(&self) -> Option<&Meta> {
        Some(match self {
            Self::Namespace(meta) | Self::ServiceAccount(meta) => meta,
            Self::Workload(o) => &o.meta,
            Self::Service(o) => &o.meta,
            Self::NetworkPolicy(o) => &o.meta,
            Self::Gateway(o) => &o.meta,
            Self::AuthorizationPolicy(o) => &o.meta,
            Self::PeerAuthentication(o) => &o.meta,
            Self::RequestAuthentication(o) => &o.meta,
            Self::Networking(o) | Self::PluginPolicy(o) | Self::Configuration(o) => &o.meta,
            Self::Other(..) => return None,
        })
    }
}

/// An object with the group and kind that it was read under.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) group: String,
    pub(super) kind: String,
    /// Which coverage suffers when the object cannot be used after all.
    pub(super) coverage: Option<Kind>,
    pub(super) object: Object,
}

/// What a document is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing but comments.
    #[default]
    Empty,
    /// One or more objects.
    Objects,
    /// Something else, which begins at this line.
    Foreign(u32),
    /// A template of Helm, which shows at this line.
    Template(u32),
    /// No YAML or JSON.
    Broken,
}

/// What came out of one document.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) shape: Shape,
    pub(super) objects: Vec<Read>,
    pub(super) defects: Vec<Defect>,
    pub(super) notes: Vec<Note>,
    /// The kinds of which an object could not be read.
    pub(super) unread: BTreeSet<Kind>,
}

/// Reads the objects of a document.
pub(super) fn document(session: &Session<'_>, root: Option<View<'_>>) -> Decoded {
    let mut decoded = Decoded::default();
    let Some(root) = root.filter(|r| !r.is_null()) else {
        return decoded;
    };
    let line = session.fixed_line.unwrap_or_else(|| root.line());
    if root.kind() == NodeKind::Sequence && root.items().any(looks_like_an_object) {
        decoded.shape = Shape::Broken;
        decoded.defects.push(Defect {
            line,
            column: root.column(),
            object: None,
            message: "a bare list of objects, which kubectl does not read".to_owned(),
            hint: Some("put it under `items` of a `kind: List` with `apiVersion: v1`".to_owned()),
        });
        decoded.unread.extend(Kind::ALL);
        return decoded;
    }
    if !looks_like_an_object(root) {
        decoded.shape = Shape::Foreign(line);
        return decoded;
    }
    decoded.shape = Shape::Objects;
    object(session, root, &mut Vec::new(), None, &mut decoded);
    if session.is_exhausted() {
        decoded.defects.push(Defect {
            line,
            column: 0,
            object: None,
            message: "the aliases of this document multiply it beyond what can be read".to_owned(),
            hint: Some("write the repeated parts out, or split the document".to_owned()),
        });
        decoded.unread.extend(Kind::ALL);
    }
    decoded
}

fn looks_like_an_object(root: View<'_>) -> bool {
    let has = |key| {
        root.get(key)
            .is_some_and(|v| v.text().is_some() && !v.is_null())
    };
    let (version, kind) = (has("apiVersion"), has("kind"));
    let metadata = root.get("metadata").map(View::kind) == Some(NodeKind::Mapping);
    (version && kind) || ((version || kind) && metadata)
}

/// Reads one object, or the items of a list. Items of typed lists take `inherited` for the
/// `apiVersion` and `kind` that they may leave out.
fn object(
    session: &Session<'_>,
    view: View<'_>,
    items: &mut Vec<usize>,
    inherited: Option<(&str, &str)>,
    decoded: &mut Decoded,
) {
    let reading = Reading::new(session);
    let root = Field::root(&reading, view);
    let Some((mapping, version, kind)) = identify(root, inherited) else {
        decoded.unread.extend(Kind::ALL);
        decoded.defects.extend(reading.finish().0);
        return;
    };
    if let Some(item_kind) = kind.strip_suffix("List")
        && let Some(list) = mapping.get("items")
    {
        let inherited = (!item_kind.is_empty()).then_some((version, item_kind));
        if items.len() == DEEPEST_LIST {
            list.wrong("is a list in too many lists");
        } else {
            for (index, item) in list.items().enumerate() {
                items.push(index);
                object(session, item.view, items, inherited, decoded);
                items.pop();
            }
        }
        if reading.has_failed() {
            decoded.unread.extend(Kind::ALL);
        }
        decoded.defects.extend(reading.finish().0);
        return;
    }
    if kinds::split(version).0 == "kustomize.config.k8s.io" {
        root.note("a kustomization, not read; to read what it builds: `-k DIR`");
        decoded.notes.extend(reading.finish().1);
        return;
    }
    let read = decode(mapping, version, kind, items);
    let failed = reading.has_failed();
    let (defects, notes) = reading.finish();
    decoded.defects.extend(defects);
    match read {
        Ok(read) if !failed => {
            decoded.notes.extend(notes);
            decoded.objects.push(read);
        }
        Ok(Read { coverage, .. }) | Err(coverage) => decoded.unread.extend(coverage),
    }
}

/// An object's mapping, `apiVersion` and `kind`.
fn identify<'r, 's, 'd, 'i>(
    root: Field<'r, 's, 'd>,
    inherited: Option<(&'i str, &'i str)>,
) -> Option<(Mapping<'r, 's, 'd>, &'i str, &'i str)>
where
    'd: 'i,
{
    let mapping = root.mapping()?;
    if let Some((version, kind)) = inherited
        && mapping.get("apiVersion").is_none()
        && mapping.get("kind").is_none()
    {
        return Some((mapping, version, kind));
    }
    let version = mapping.required("apiVersion").and_then(Field::string);
    let kind = mapping.required("kind").and_then(Field::string);
    Some((mapping, version?, kind?))
}

/// Reads one object; what is wrong with it is reported on the way.
///
/// # Errors
///
/// The kind whose coverage suffers, when there is nothing to keep.
fn decode(
    object: Mapping<'_, '_, '_>,
    api_version: &str,
    kind: &str,
    items: &[usize],
) -> Result<Read, Option<Kind>> {
    let (group, version) = kinds::split(api_version);
    let (class, scope) = match kinds::lookup(api_version, kind) {
        Lookup::Known(class, scope) => (class, scope),
        Lookup::Unserved(class, served) => {
            let served = match served.first() {
                Some(served) => (*served).to_owned(),
                None => format!("{group}/v1"),
            };
            object.field.report(
                &format!("there is no `{kind}` in `{api_version}`"),
                Some(format!("use `apiVersion: {served}`")),
            );
            return Err(class.coverage());
        }
        Lookup::Other => {
            let name = if group.is_empty() {
                kind.to_owned()
            } else {
                format!("{kind}.{group}")
            };
            let object = Object::Other(name, maker(object, kind));
            return Ok(read(group, kind, None, object));
        }
    };
    object.well_spelled(&["metadata", "spec", "status"]);
    let coverage = class.coverage();
    let identity = Identity { kind, class, scope };
    let meta = meta::meta(object, identity, items);
    // What is wrong below `metadata` is worth knowing even when the object has no name.
    let named = meta.is_some();
    let meta = meta.unwrap_or_else(|| Meta::synthetic("", ""));
    let generic = |meta| GenericObject {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        meta,
        body: json::value(object.field),
    };
    let decoded = match class {
        Class::Namespace => Object::Namespace(meta),
        Class::Workload(kind) => Object::Workload(Box::new(workload::workload(object, meta, kind))),
        Class::Service => Object::Service(service::service(object, meta)),
        Class::ServiceAccount => Object::ServiceAccount(meta),
        Class::NetworkPolicy => Object::NetworkPolicy(policy::network_policy(object, meta)),
        Class::Gateway => Object::Gateway(service::gateway(object, meta)),
        Class::AuthorizationPolicy => {
            Object::AuthorizationPolicy(istio::authorization_policy(object, meta))
        }
        Class::PeerAuthentication => {
            Object::PeerAuthentication(istio::peer_authentication(object, meta))
        }
        Class::RequestAuthentication => {
            Object::RequestAuthentication(istio::request_authentication(object, meta))
        }
        Class::Networking => Object::Networking(generic(meta)),
        Class::PluginPolicy => Object::PluginPolicy(generic(meta)),
        Class::Configuration => Object::Configuration(generic(meta)),
    };
    if named {
        Ok(read(group, kind, coverage, decoded))
    } else {
        Err(coverage)
    }
}

/// What an object of a kind that is not read makes pods of, if it has a template of them where
/// workloads have it.
fn maker(object: Mapping<'_, '_, '_>, kind: &str) -> Option<Maker> {
    let root = object.field.view;
    let template = root.get("spec")?.get("template")?;
    template.get("spec")?.get("containers")?.items().next()?;
    let metadata = root.get("metadata")?;
    let text = |key| metadata.get(key).and_then(View::text);
    let default = object.field.reading.session.default_namespace;
    let labels = template.get("metadata").and_then(|m| m.get("labels"));
    let labels = labels.into_iter().flat_map(View::entries);
    let pair = |(key, value): (&str, View<'_>)| Some((key.to_owned(), value.text()?.to_owned()));
    Some(Maker {
        object: ObjectRef::namespaced(text("namespace").unwrap_or(default), kind, text("name")?),
        labels: labels.filter_map(pair).collect(),
    })
}

fn read(group: &str, kind: &str, coverage: Option<Kind>, object: Object) -> Read {
    Read {
        group: group.to_owned(),
        kind: kind.to_owned(),
        coverage,
        object,
    }
}
