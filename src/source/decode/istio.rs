//! `security.istio.io` kinds, with the rules of their CRDs and of istiod's webhook that matter to
//! how they are read.

use std::sync::Arc;

use crate::model::{
    Action, AuthorizationPolicy, AuthorizationRule, Condition, Labels, Meta, Name, Operation,
    PeerAuthentication, PeerMode, RequestAuthentication, Source, TargetRef,
};
use crate::source::syntax;

use super::field::{Field, Mapping};
use super::meta::{labels, unknown_word};

/// Reads an AuthorizationPolicy; what is wrong with it is reported on the way.
pub(super) fn authorization_policy(object: Mapping<'_, '_, '_>, meta: Meta) -> AuthorizationPolicy {
    const ACTIONS: &[&str] = &["ALLOW", "DENY", "AUDIT", "CUSTOM"];
    let mut policy = AuthorizationPolicy {
        meta,
        selector: Labels::new(),
        selects_nothing: false,
        targets: Vec::new(),
        action: Action::Allow,
        rules: Arc::default(),
    };
    let Some(spec) = object.mapping("spec") else {
        return policy;
    };
    spec.only(&[
        "action",
        "provider",
        "rules",
        "selector",
        "targetRef",
        "targetRefs",
    ]);
    (policy.selector, policy.targets) = attachment(spec);
    let selector = spec.get("selector").and_then(Field::mapping);
    policy.selects_nothing = selector.is_some_and(|s| s.get("matchLabels").is_none());
    if let Some(field) = spec.get("action") {
        policy.action = match field.string() {
            Some("ALLOW") | None => Action::Allow,
            Some("DENY") => Action::Deny,
            Some("AUDIT") => Action::Audit,
            Some("CUSTOM") => Action::Custom,
            Some(other) => {
                unknown_word(field, other, ACTIONS);
                Action::Allow
            }
        };
    }
    if policy.action == Action::Custom && spec.get("provider").is_none() {
        spec.field
            .wrong("has no `provider`, which `action: CUSTOM` needs");
    }
    policy.rules = spec.items("rules").filter_map(rule).collect();
    policy
}

/// `selector`, and `targetRef` or `targetRefs`.
fn attachment(spec: Mapping<'_, '_, '_>) -> (Labels, Vec<TargetRef>) {
    let selector = spec.get("selector");
    let (one, many) = (spec.get("targetRef"), spec.get("targetRefs"));
    if [selector, one, many].into_iter().flatten().count() > 1 {
        spec.field
            .wrong("has more than one of `selector`, `targetRef` and `targetRefs`");
    }
    let one = one.and_then(Field::mapping).into_iter();
    let targets = one.chain(spec.mappings("targetRefs"));
    (
        selector.map(match_labels).unwrap_or_default(),
        targets.filter_map(target).collect(),
    )
}

/// Istio's `WorkloadSelector`, which knows `matchLabels` only.
fn match_labels(field: Field<'_, '_, '_>) -> Labels {
    let Some(mapping) = field.mapping() else {
        return Labels::new();
    };
    mapping.only(&["matchLabels"]);
    mapping.get("matchLabels").map(labels).unwrap_or_default()
}

fn target(target: Mapping<'_, '_, '_>) -> Option<TargetRef> {
    target.only(&["group", "kind", "name", "namespace"]);
    let kind = target.required("kind").and_then(Field::string);
    let name = target.required("name").and_then(Field::string);
    let namespace = target.text("namespace");
    Some(TargetRef {
        group: target.text("group").to_owned(),
        kind: kind?.to_owned(),
        name: name?.to_owned(),
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
    })
}

fn rule(field: Field<'_, '_, '_>) -> Option<AuthorizationRule> {
    let rule = field.mapping()?;
    rule.only(&["from", "to", "when"]);
    for (list, key) in [("from", "source"), ("to", "operation")] {
        check_list(rule, list, key);
    }
    let sources = rule.mappings("from").filter_map(|f| f.mapping("source"));
    let operations = rule.mappings("to").filter_map(|t| t.mapping("operation"));
    Some(AuthorizationRule {
        from: sources.map(source).collect(),
        to: operations.map(operation).collect(),
        when: rule.mappings("when").filter_map(condition).collect(),
        line: field.line(),
    })
}

/// Reports an empty list, and entries without content: istiod takes neither, because they match
/// everything or nothing depending on who reads them.
fn check_list(rule: Mapping<'_, '_, '_>, list: &'static str, key: &'static str) {
    let Some(field) = rule.get(list) else { return };
    if field.view.items().len() == 0 {
        field.wrong("is empty: leave it out to match everything");
    }
    for entry in rule.mappings(list) {
        entry.only(&[key]);
        if let Some(part) = entry.required(key)
            && part.view.entries().is_empty()
        {
            part.wrong("is empty");
        }
    }
}

fn source(source: Mapping<'_, '_, '_>) -> Source {
    const LAYER7: [&str; 4] = [
        "requestPrincipals",
        "notRequestPrincipals",
        "remoteIpBlocks",
        "notRemoteIpBlocks",
    ];
    const IGNORED: [&str; 2] = ["trustDomains", "notTrustDomains"];
    const LAYER4: [&str; 8] = [
        "principals",
        "notPrincipals",
        "namespaces",
        "notNamespaces",
        "serviceAccounts",
        "notServiceAccounts",
        "ipBlocks",
        "notIpBlocks",
    ];
    source.only(&[&LAYER4[..], &LAYER7[..], &IGNORED[..]].concat());
    let has = |keys: &[&'static str]| keys.iter().any(|k| source.get(k).is_some());
    let accounts = ["serviceAccounts", "notServiceAccounts"];
    let identities = ["principals", "notPrincipals", "namespaces", "notNamespaces"];
    if has(&accounts) && has(&identities) {
        source.field.wrong(
            "has `serviceAccounts` beside principals or namespaces, which cannot be combined",
        );
    }
    let names = |key| {
        let names = source.get(key).map(Field::strings).unwrap_or_default();
        names.into_iter().map(Name::from).collect()
    };
    let addresses = |key| {
        for item in source.items(key) {
            if let Some(text) = item.string()
                && let Err(rule) = syntax::address_or_cidr(text)
            {
                item.breaks(text, "it", rule, None);
            }
        }
        names(key)
    };
    Source {
        principals: names("principals"),
        not_principals: names("notPrincipals"),
        namespaces: names("namespaces"),
        not_namespaces: names("notNamespaces"),
        service_accounts: service_accounts(source, "serviceAccounts"),
        not_service_accounts: service_accounts(source, "notServiceAccounts"),
        ip_blocks: addresses("ipBlocks"),
        not_ip_blocks: addresses("notIpBlocks"),
        layer7: present(source, &LAYER7),
        ignored: present(source, &IGNORED),
    }
}

/// `serviceAccounts` takes up to 16 items of up to 320 characters, `name` or `namespace/name`.
fn service_accounts(source: Mapping<'_, '_, '_>, key: &'static str) -> Vec<Name> {
    let Some(field) = source.get(key) else {
        return Vec::new();
    };
    if field.view.items().len() > 16 {
        field.wrong("has more than 16 items");
    }
    for item in field.items() {
        let Some(text) = item.string() else { continue };
        if text.len() > 320 {
            item.wrong("has more than 320 characters");
        } else if text.is_empty() || text.contains('*') || text.matches('/').count() > 1 {
            item.wrong(format!(
                "is `{text}`; it must be `name` or `namespace/name`"
            ));
        }
    }
    field.strings().into_iter().map(Name::from).collect()
}

fn operation(operation: Mapping<'_, '_, '_>) -> Operation {
    const LAYER7: [&str; 6] = [
        "hosts",
        "notHosts",
        "methods",
        "notMethods",
        "paths",
        "notPaths",
    ];
    operation.only(&[&["ports", "notPorts"], &LAYER7[..]].concat());
    let ports = |key| {
        for item in operation.items(key) {
            let Some(text) = item.string() else { continue };
            // istiod takes 0 too, which no connection has.
            if text.parse::<u16>().is_err() {
                item.wrong(format!(
                    "is `{text}`; it must be one port number, in quotes"
                ));
            }
        }
        let field = operation.get(key);
        field.map(Field::strings).unwrap_or_default()
    };
    Operation {
        ports: ports("ports"),
        not_ports: ports("notPorts"),
        layer7: present(operation, &LAYER7),
    }
}

fn condition(condition: Mapping<'_, '_, '_>) -> Option<Condition> {
    condition.only(&["key", "notValues", "values"]);
    let key = condition.required("key").and_then(Field::string)?;
    let read = |key| condition.get(key).map(Field::strings).unwrap_or_default();
    let (values, not_values) = (read("values"), read("notValues"));
    if values.is_empty() && not_values.is_empty() {
        condition
            .field
            .wrong("has neither `values` nor `notValues`");
    }
    Some(Condition {
        key: key.to_owned(),
        values,
        not_values,
    })
}

fn present(mapping: Mapping<'_, '_, '_>, keys: &[&'static str]) -> Vec<String> {
    let set = keys.iter().filter(|k| mapping.get(k).is_some());
    set.map(|&k| k.to_owned()).collect()
}

/// Reads a PeerAuthentication; what is wrong with it is reported on the way.
pub(super) fn peer_authentication(object: Mapping<'_, '_, '_>, meta: Meta) -> PeerAuthentication {
    let mut policy = PeerAuthentication {
        meta,
        selector: Labels::new(),
        mode: PeerMode::Unset,
        ports: Vec::new(),
    };
    let Some(spec) = object.mapping("spec") else {
        return policy;
    };
    spec.only(&["mtls", "portLevelMtls", "selector"]);
    policy.selector = spec.get("selector").map(match_labels).unwrap_or_default();
    policy.mode = spec.mapping("mtls").map_or(PeerMode::Unset, peer_mode);
    let Some(field) = spec.get("portLevelMtls") else {
        return policy;
    };
    if policy.selector.is_empty() {
        field.wrong("needs a `selector` with labels beside it");
    }
    let Some(ports) = field.mapping() else {
        return policy;
    };
    for (key, entry) in ports.entries() {
        let port = key.parse().ok().filter(|&p: &u16| p > 0);
        if port.is_none() {
            entry.wrong("is under a key that is no port number");
        }
        let mode = entry.mapping().map(peer_mode);
        policy.ports.extend(port.zip(mode));
    }
    policy.ports.sort_unstable();
    policy
}

fn peer_mode(mtls: Mapping<'_, '_, '_>) -> PeerMode {
    const MODES: &[&str] = &["UNSET", "DISABLE", "PERMISSIVE", "STRICT"];
    mtls.only(&["mode"]);
    let Some(field) = mtls.get("mode") else {
        return PeerMode::Unset;
    };
    match field.string() {
        Some("UNSET") | None => PeerMode::Unset,
        Some("DISABLE") => PeerMode::Disable,
        Some("PERMISSIVE") => PeerMode::Permissive,
        Some("STRICT") => PeerMode::Strict,
        Some(other) => {
            unknown_word(field, other, MODES);
            PeerMode::Unset
        }
    }
}

/// Reads a RequestAuthentication; what is wrong with it is reported on the way.
pub(super) fn request_authentication(
    object: Mapping<'_, '_, '_>,
    meta: Meta,
) -> RequestAuthentication {
    let (selector, targets) = object.mapping("spec").map(attachment).unwrap_or_default();
    RequestAuthentication {
        meta,
        selector,
        targets,
    }
}
