//! Names and origins of objects.

use std::fmt;
use std::sync::Arc;

use ambient_facts::labels;

use super::Labels;

/// Names one object: `namespace/kind/name`, or `kind/name` for a cluster-scoped one.
///
/// The kind is spelled in lower case in text, as kubectl prints it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Namespace, or `None` for cluster-scoped objects.
    pub namespace: Option<String>,
    /// Kind as in the manifest, for example `NetworkPolicy`.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectRef {
    /// A reference to a namespaced object.
    pub fn namespaced(
        namespace: impl Into<String>,
        kind: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self {
            namespace: Some(namespace.into()),
            kind: kind.into(),
            name: name.into(),
        }
    }

    /// A reference to a cluster-scoped object.
    pub fn cluster(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: None,
            kind: kind.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{}/{}", self.kind.to_lowercase(), self.name)
    }
}

/// Where an object was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Path as the user would name it, `-` for standard input, empty for a synthetic object.
    pub file: Arc<str>,
    /// Zero-based index of the YAML document in the file, empty documents counted.
    pub document: usize,
    /// Zero-based indices into `items` of `List` kinds, outermost first; empty outside a list.
    pub items: Vec<usize>,
    /// One-based line at which the object starts; 0 when unknown.
    pub line: u32,
}

impl Origin {
    /// The origin of an object that no file holds.
    pub fn synthetic() -> Self {
        Self {
            file: Arc::from(""),
            document: 0,
            items: Vec::new(),
            line: 0,
        }
    }

    /// Whether no file holds the object.
    pub fn is_synthetic(&self) -> bool {
        self.file.is_empty()
    }

    /// The same file at another line.
    #[must_use]
    pub fn at(&self, line: u32) -> Self {
        Self {
            line,
            ..self.clone()
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.is_empty(), self.line) {
            (true, _) => write!(f, "(generated)"),
            (false, 0) => write!(f, "{}", self.file),
            (false, line) => write!(f, "{}:{line}", self.file),
        }
    }
}

/// One entry of `metadata.ownerReferences`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerRef {
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner, in the same namespace or cluster-scoped.
    pub name: String,
    /// Whether the owner is the managing controller.
    pub controller: bool,
}

/// The part of `metadata` that analysis reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Name; never empty.
    pub name: String,
    /// Namespace; empty for cluster-scoped kinds, else filled in with the default.
    pub namespace: String,
    /// Whether the object itself names the namespace.
    pub namespace_given: bool,
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
    /// Owners.
    pub owners: Vec<OwnerRef>,
    /// When a cluster created it, where it comes from one: RFC 3339 in UTC, to the second, so that
    /// the order of the text is that of time.
    pub created: Option<String>,
    /// Where the object was read.
    pub origin: Origin,
}

impl Meta {
    /// Metadata of an object that is not read from anywhere.
    pub fn synthetic(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            namespace_given: true,
            labels: Labels::new(),
            annotations: Labels::new(),
            owners: Vec::new(),
            created: None,
            origin: Origin::synthetic(),
        }
    }

    /// The reference to this object, given its kind.
    pub fn reference(&self, kind: impl Into<String>) -> ObjectRef {
        let namespace = (!self.namespace.is_empty()).then(|| self.namespace.clone());
        ObjectRef {
            namespace,
            kind: kind.into(),
            name: self.name.clone(),
        }
    }

    /// Whether two objects of one kind are the same one.
    pub fn is_same(&self, other: &Self) -> bool {
        self.namespace == other.namespace && self.name == other.name
    }

    /// Whether this program wrote the object, as a companion of another.
    pub fn is_ours(&self) -> bool {
        self.label(labels::MANAGED_BY) == Some(labels::MANAGED_BY_AMBIENT)
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }
}

/// An object of a kind that analysis knows but reads only in part: its metadata, and the rest as
/// JSON. Istio's routing kinds and the policy kinds of network plugins are kept like this.
#[derive(Debug, Clone, PartialEq)]
pub struct GenericObject {
    /// API group, empty for the core group.
    pub group: String,
    /// API version without the group.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Metadata.
    pub meta: Meta,
    /// The whole object.
    pub body: serde_json::Value,
}

impl GenericObject {
    /// Whether it is a policy of Calico that is only staged: evaluated for logs, not enforced.
    pub fn is_staged(&self) -> bool {
        self.kind.starts_with("Staged")
    }

    /// The reference to this object.
    pub fn reference(&self) -> ObjectRef {
        self.meta.reference(self.kind.clone())
    }
}
