//! `metadata`, labels and selectors.

use crate::model::{
    LabelSelector, Labels, Meta, ObjectRef, Operator, Origin, OwnerRef, Requirement,
};
use crate::source::kinds::{Class, Scope};
use crate::source::syntax;
use crate::yaml::View;

use super::field::{Field, Mapping};

/// All annotations of an object together may have this many bytes
/// (Kubernetes `apimachinery/pkg/api/validation`, `TotalAnnotationSizeLimitB`).
const MOST_ANNOTATIONS: usize = 256 << 10;

const OBJECT_META: &[&str] = &[
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// What an object is, as far as its own `apiVersion` and `kind` say.
#[derive(Clone, Copy)]
pub(super) struct Identity<'d> {
    pub(super) kind: &'d str,
    pub(super) class: Class,
    pub(super) scope: Scope,
}

/// Reads `metadata` of an object and names the object in what is reported from then on. `None`
/// when it has no name that could be used.
pub(super) fn meta(
    object: Mapping<'_, '_, '_>,
    identity: Identity<'_>,
    items: &[usize],
) -> Option<Meta> {
    let reading = object.field.reading;
    let origin = Origin {
        file: reading.session.file.clone(),
        document: reading.session.document,
        items: items.to_vec(),
        line: object.field.line(),
    };
    let Some(field) = object.get("metadata") else {
        // A key without a value is the better place to point at.
        let at = object.written("metadata").unwrap_or(object.field);
        nameless(object, at, identity.kind, NAMELESS);
        return None;
    };
    let metadata = field.mapping()?;
    let (namespace, namespace_given) = namespace(metadata, identity.scope);
    let name = match metadata.get("name") {
        Some(name) => name.string().map(|text| (name, text)),
        None if metadata.get("generateName").is_some() => {
            let why = "with only `metadata.generateName`: its name is not known before it exists";
            nameless(object, field, identity.kind, why);
            None
        }
        None => {
            nameless(object, field, identity.kind, NAMELESS);
            None
        }
    };
    if let Some((at, text)) = name {
        reading.name(ObjectRef {
            namespace: (!namespace.is_empty()).then(|| namespace.clone()),
            kind: identity.kind.to_owned(),
            name: text.to_owned(),
        });
        check_name(at, text, identity.class);
    }
    metadata.only(OBJECT_META);
    let labels = metadata.get("labels").map(labels).unwrap_or_default();
    let annotations = metadata
        .get("annotations")
        .map(annotations)
        .unwrap_or_default();
    let owners = metadata.mappings("ownerReferences").map(owner).collect();
    let created = metadata.get("creationTimestamp");
    let created = created.and_then(|at| at.view.text());
    let created = created.filter(|at| is_utc_time(at));
    name.map(|(_, text)| Meta {
        name: text.to_owned(),
        namespace,
        namespace_given,
        labels,
        annotations,
        owners,
        created: created.map(str::to_owned),
        origin,
    })
}

/// Whether a text is a time as the API server writes it: `2026-02-28T23:59:59Z`.
fn is_utc_time(text: &str) -> bool {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:ddZ";
    let fits = |(&shape, byte): (&u8, u8)| match shape {
        b'd' => byte.is_ascii_digit(),
        fixed => fixed == byte,
    };
    text.len() == SHAPE.len() && SHAPE.iter().zip(text.bytes()).all(fits)
}

const NAMELESS: &str = "without `metadata.name`: the API server rejects it";

/// Reports an object without a name, and proposes one that its selector or labels suggest.
fn nameless(object: Mapping<'_, '_, '_>, at: Field<'_, '_, '_>, kind: &str, why: &str) {
    let vowel = kind.starts_with(['A', 'E', 'I', 'O', 'U']);
    let article = if vowel { "an" } else { "a" };
    let view = object.field.view;
    let selected = view.get("spec").and_then(|s| s.get("podSelector"));
    let selected = selected.and_then(|s| s.get("matchLabels"));
    let own = view.get("metadata").and_then(|m| m.get("labels"));
    let name = [selected, own]
        .into_iter()
        .flatten()
        .flat_map(|labels| NAMING_LABELS.map(|key| labels.get(key)))
        .flatten()
        .filter_map(View::text)
        .find(|name| syntax::dns_subdomain(name).is_ok());
    let hint = match name {
        Some(name) => format!("add `name: {name}` under `metadata`"),
        None => "add `name` under `metadata`".to_owned(),
    };
    at.report(&format!("{article} {kind} {why}"), Some(hint));
}

/// Labels whose value is what people call the object.
const NAMING_LABELS: [&str; 3] = ["app.kubernetes.io/name", "app", "name"];

/// The namespace of an object, and whether the object names it.
fn namespace(metadata: Mapping<'_, '_, '_>, scope: Scope) -> (String, bool) {
    // The API server clears the namespace of cluster-scoped objects (`rest.BeforeCreate`).
    if scope == Scope::Cluster {
        return (String::new(), false);
    }
    let given = metadata.get("namespace").and_then(|field| {
        let text = field.string().filter(|t| !t.is_empty())?;
        if let Err(rule) = syntax::dns_label(text) {
            field.breaks(text, "a namespace", rule, None);
        }
        Some(text.to_owned())
    });
    let default = || match scope {
        Scope::Namespaced => metadata.field.reading.session.default_namespace.to_owned(),
        Scope::Cluster | Scope::Unknown => String::new(),
    };
    let is_given = given.is_some();
    (given.unwrap_or_else(default), is_given)
}

fn check_name(field: Field<'_, '_, '_>, text: &str, class: Class) {
    let rule = match class {
        Class::Namespace | Class::Service => syntax::dns_label(text),
        _ => syntax::dns_subdomain(text),
    };
    if let Err(rule) = rule {
        field.breaks(text, "a name", rule, None);
    }
}

fn owner(owner: Mapping<'_, '_, '_>) -> OwnerRef {
    OwnerRef {
        kind: owner.text("kind").to_owned(),
        name: owner.text("name").to_owned(),
        controller: owner.get("controller").and_then(Field::boolean) == Some(true),
    }
}

/// Reads labels, and checks keys and values.
pub(super) fn labels(field: Field<'_, '_, '_>) -> Labels {
    let Some(mapping) = field.mapping() else {
        return Labels::new();
    };
    let mut labels = Labels::new();
    for (key, value) in mapping.entries() {
        if let Err(rule) = syntax::label_key(key) {
            let path = field.path();
            let message = format!("`{path}` has the key `{key}`; a label key {rule}");
            value.report(&message, None);
        }
        if let Some(text) = value.string() {
            check_value(value, text);
            labels.insert(key.to_owned(), text.to_owned());
        }
    }
    field.respell_keys(&mut labels);
    labels
}

fn annotations(field: Field<'_, '_, '_>) -> Labels {
    let annotations = field.string_map();
    let size: usize = annotations.iter().map(|(k, v)| k.len() + v.len()).sum();
    if size > MOST_ANNOTATIONS {
        field.wrong("has more than 256 KiB, the most that the API server takes");
    }
    for key in annotations.keys() {
        if let Err(rule) = syntax::label_key(&key.to_lowercase()) {
            field.wrong(format!("has the key `{key}`; an annotation key {rule}"));
        }
    }
    annotations
}

fn check_value(field: Field<'_, '_, '_>, text: &str) {
    if let Err(rule) = syntax::label_value(text) {
        field.breaks(text, "a label value", rule, None);
    }
}

/// Reads a `metav1.LabelSelector`.
pub(super) fn selector(field: Field<'_, '_, '_>) -> LabelSelector {
    let Some(mapping) = field.mapping() else {
        return LabelSelector::default();
    };
    mapping.only(&["matchLabels", "matchExpressions"]);
    let match_labels = mapping.get("matchLabels").map(labels).unwrap_or_default();
    let expressions = mapping.mappings("matchExpressions");
    LabelSelector {
        match_labels,
        match_expressions: expressions.filter_map(requirement).collect(),
    }
}

fn requirement(expression: Mapping<'_, '_, '_>) -> Option<Requirement> {
    const OPERATORS: &[&str] = &["In", "NotIn", "Exists", "DoesNotExist"];
    expression.only(&["key", "operator", "values"]);
    let key = expression.required("key").and_then(|field| {
        let key = field.string()?;
        if let Err(rule) = syntax::label_key(key) {
            field.breaks(key, "a label key", rule, None);
        }
        Some(key.to_owned())
    });
    let values = expression.get("values");
    let texts: std::collections::BTreeSet<String> = values
        .into_iter()
        .flat_map(Field::items)
        .filter_map(|value| {
            let text = value.string()?;
            check_value(value, text);
            Some(text.to_owned())
        })
        .collect();
    let count = values.map_or(0, |v| v.view.items().len());
    let field = expression.required("operator")?;
    let name = field.string()?;
    let operator = match name {
        "In" | "NotIn" => {
            if count == 0 {
                let at = values.unwrap_or(expression.field);
                let path = expression.field.path();
                let message =
                    format!("`{path}.values` must have a value: the operator is `{name}`");
                at.report(&message, None);
            }
            if name == "In" {
                Operator::In(texts)
            } else {
                Operator::NotIn(texts)
            }
        }
        "Exists" | "DoesNotExist" => {
            if let (Some(values), 1..) = (values, count) {
                values.wrong(format!("must be empty: the operator is `{name}`"));
            }
            if name == "Exists" {
                Operator::Exists
            } else {
                Operator::DoesNotExist
            }
        }
        _ => {
            unknown_word(field, name, OPERATORS);
            return None;
        }
    };
    Some(Requirement {
        key: key?,
        operator,
    })
}

/// Reports a word that is not among those that a field takes.
pub(super) fn unknown_word(field: Field<'_, '_, '_>, word: &str, known: &[&str]) {
    let one_of = format!(
        "is `{word}`; it must be one of {}",
        super::field::quoted(known)
    );
    match syntax::did_you_mean(word, known) {
        Some(meant) => field.wrong_hint(one_of, format!("did you mean `{meant}`?")),
        None => field.wrong(one_of),
    }
}
