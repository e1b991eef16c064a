//! Clients: as a destination sees them, and as rules can name them.

use crate::model::Name;

/// Who opens a connection, as the destination's proxy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity<'c> {
    /// Plaintext: nobody.
    Anonymous,
    /// A workload of the mesh.
    Workload {
        /// Namespace.
        namespace: &'c str,
        /// Service account.
        service_account: &'c str,
    },
    /// A workload of the mesh whose service account is not known.
    SomeoneIn {
        /// Namespace.
        namespace: &'c str,
    },
    /// A workload of the mesh of which nothing is known.
    Anyone,
}

/// A client as rules can name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    namespace: Name,
    service_account: Option<String>,
    /// In any trust domain. Made once, because thousands of rules may have it.
    principal: Option<Name>,
}

impl Party {
    /// A client of a namespace. Its service account is `None` when it is not known, and so cannot be
    /// named.
    pub fn new(namespace: &str, service_account: Option<&str>) -> Self {
        let principal = service_account.map(|name| format!("*/ns/{namespace}/sa/{name}").into());
        Self {
            namespace: namespace.into(),
            service_account: service_account.map(str::to_owned),
            principal,
        }
    }

    /// A client of which not even the namespace is known. It sorts before all others.
    pub fn nameless() -> Self {
        Self::new("", None)
    }

    /// Whether not even the namespace is known.
    pub fn is_nameless(&self) -> bool {
        self.namespace.is_empty()
    }

    /// The party as a destination sees it.
    pub fn identity(&self) -> Identity<'_> {
        let namespace = self.namespace();
        match self.service_account() {
            _ if self.is_nameless() => Identity::Anyone,
            Some(service_account) => Identity::Workload {
                namespace,
                service_account,
            },
            None => Identity::SomeoneIn { namespace },
        }
    }

    /// Namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Service account, if it is known.
    pub fn service_account(&self) -> Option<&str> {
        self.service_account.as_deref()
    }

    /// A principal in any trust domain.
    pub(super) fn principal(&self) -> Option<&Name> {
        self.principal.as_ref()
    }

    /// The namespace as rules share it.
    pub(super) fn namespace_name(&self) -> &Name {
        &self.namespace
    }
}
