//! Services and Gateways.

use std::collections::BTreeSet;

use crate::model::{
    AllowedNamespaces, Gateway, LabelSelector, Listener, Meta, Operator, Protocol, Requirement,
    Service, ServicePort, TargetPort,
};
use crate::source::syntax;

use super::container::target_port;
use super::field::{Field, IntOrString, Mapping};
use super::meta::{selector, unknown_word};
use super::policy::protocol;

/// Reads a Service; what is wrong with it is reported on the way.
pub(super) fn service(object: Mapping<'_, '_, '_>, meta: Meta) -> Service {
    const TYPES: &[&str] = &["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"];
    let mut service = Service {
        meta,
        selector: crate::model::Labels::new(),
        headless: false,
        service_type: "ClusterIP".to_owned(),
        ports: Vec::new(),
    };
    let Some(field) = object.required("spec") else {
        return service;
    };
    let Some(spec) = field.mapping() else {
        return service;
    };
    spec.well_spelled(&["clusterIP", "ports", "selector", "type"]);
    if let Some(field) = spec.get("type")
        && let Some(word) = field.string()
    {
        if !TYPES.contains(&word) {
            unknown_word(field, word, TYPES);
        }
        word.clone_into(&mut service.service_type);
    }
    service.selector = spec
        .get("selector")
        .map(super::meta::labels)
        .unwrap_or_default();
    service.headless = spec.text("clusterIP") == "None";
    let count = spec.items("ports").count();
    let mut names = BTreeSet::new();
    for entry in spec.mappings("ports") {
        service.ports.extend(service_port(entry, count, &mut names));
    }
    if count == 0 && !service.headless && service.service_type != "ExternalName" {
        field.wrong("has no `ports`: only a headless Service can go without");
    }
    service
}

fn service_port<'d>(
    entry: Mapping<'_, '_, 'd>,
    count: usize,
    names: &mut BTreeSet<&'d str>,
) -> Option<ServicePort> {
    entry.well_spelled(&["appProtocol", "name", "port", "protocol", "targetPort"]);
    let port = entry.required("port").and_then(Field::port);
    let name = entry.text("name");
    if name.is_empty() && count > 1 {
        entry
            .field
            .wrong("has no `name`: every port needs one when there are several");
    } else if let Err(rule) = syntax::dns_label(name)
        && !name.is_empty()
    {
        entry
            .field
            .wrong(format!("has the name `{name}`; it {rule}"));
    } else if !name.is_empty() && !names.insert(name) {
        entry.field.wrong(format!(
            "has the name `{name}`, which another port has already"
        ));
    }
    let protocol = match entry.get("protocol") {
        Some(field) => protocol(field),
        None => Some(Protocol::Tcp),
    };
    let target = match entry.get("targetPort") {
        // Zero and the empty string are what an absent field is to the API server.
        Some(field) => match field.int_or_string()? {
            IntOrString::Int(0) | IntOrString::String("") => port.map(TargetPort::Number),
            _ => target_port(field),
        },
        None => port.map(TargetPort::Number),
    };
    let app_protocol = entry.get("appProtocol").and_then(Field::string);
    Some(ServicePort {
        name: name.to_owned(),
        port: port?,
        target: target?,
        protocol: protocol?,
        app_protocol: app_protocol.map(str::to_owned),
    })
}

/// Reads a Gateway; what is wrong with it is reported on the way.
pub(super) fn gateway(object: Mapping<'_, '_, '_>, meta: Meta) -> Gateway {
    let mut gateway = Gateway {
        meta,
        class: String::new(),
        listeners: Vec::new(),
    };
    let Some(spec) = object.required("spec").and_then(Field::mapping) else {
        return gateway;
    };
    if let Some(class) = spec.required("gatewayClassName").and_then(Field::string) {
        class.clone_into(&mut gateway.class);
    }
    gateway.listeners = spec.mappings("listeners").filter_map(listener).collect();
    gateway
}

fn listener(listener: Mapping<'_, '_, '_>) -> Option<Listener> {
    listener.well_spelled(&["allowedRoutes", "name", "port", "protocol"]);
    let name = listener.required("name").and_then(Field::string);
    let port = listener.required("port").and_then(Field::port);
    let protocol = listener.required("protocol").and_then(Field::string);
    let routes = listener.mapping("allowedRoutes");
    let namespaces = routes.and_then(|r| r.mapping("namespaces"));
    Some(Listener {
        name: name?.to_owned(),
        port: port?,
        protocol: protocol?.to_owned(),
        allowed: namespaces.map_or(AllowedNamespaces::Same, allowed),
    })
}

fn allowed(namespaces: Mapping<'_, '_, '_>) -> AllowedNamespaces {
    const FROM: &[&str] = &["Same", "All", "Selector", "None"];
    let Some(from) = namespaces.get("from") else {
        return AllowedNamespaces::Same;
    };
    match from.string() {
        Some("All") => AllowedNamespaces::All,
        Some("Selector") => {
            let field = namespaces.required("selector");
            AllowedNamespaces::Selector(field.map(selector).unwrap_or_default())
        }
        Some("None") => AllowedNamespaces::Selector(nothing()),
        Some("Same") | None => AllowedNamespaces::Same,
        Some(other) => {
            unknown_word(from, other, FROM);
            AllowedNamespaces::Same
        }
    }
}

/// A selector that no namespace matches.
fn nothing() -> LabelSelector {
    LabelSelector {
        match_labels: crate::model::Labels::new(),
        match_expressions: vec![Requirement {
            key: ambient_facts::labels::NAMESPACE_NAME.to_owned(),
            operator: Operator::DoesNotExist,
        }],
    }
}
