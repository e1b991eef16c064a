//! Reads generated objects as a [`World`], independently of the program's own loader: what the
//! loader makes of the same text is compared with this.
//!
//! It reads only what the generator and a plan write, and applies the defaults of the API server.

use std::str::FromStr;

use kubectl_ambient::model::{
    Action, AllowedNamespaces, AuthorizationPolicy, AuthorizationRule, Condition, ContainerPort,
    Gateway, LabelSelector, Labels, Listener, Meta, Namespace, NetworkPolicy, Operation, Operator,
    OwnerRef, Peer, PeerAuthentication, PeerMode, PodTemplate, PortMatch, PortRule, Protocol,
    Requirement, Rule, Service, ServicePort, Source, TargetPort, TargetRef, Workload, WorkloadKind,
    World, namespace_name_label,
};
use serde_json::Value;

/// The objects as a world. Nothing has an origin.
pub(crate) fn world(objects: &[Value]) -> World {
    let mut world = World::default();
    for object in objects {
        add(&mut world, object);
    }
    let place = |meta: &Meta| (meta.namespace.clone(), meta.name.clone());
    world.workloads.sort_by_key(|w| (place(&w.meta), w.kind));
    world.services.sort_by_key(|s| place(&s.meta));
    world.service_accounts.sort_by_key(place);
    world.network_policies.sort_by_key(|p| place(&p.meta));
    world.gateways.sort_by_key(|g| place(&g.meta));
    world.authorization_policies.sort_by_key(|p| place(&p.meta));
    world.peer_authentications.sort_by_key(|p| place(&p.meta));
    world
}

fn add(world: &mut World, object: &Value) {
    let kind = text(&object["kind"]);
    if kind == "List" {
        for item in list(&object["items"]) {
            add(world, item);
        }
        return;
    }
    let mut meta = meta(&object["metadata"]);
    let spec = &object["spec"];
    if kind == "Namespace" {
        meta.namespace.clear();
        meta.labels.extend(namespace_name_label(&meta.name));
        let declared = true;
        world
            .namespaces
            .insert(meta.name.clone(), Namespace { meta, declared });
        return;
    }
    mention(world, &meta.namespace);
    match kind.as_str() {
        "Service" => world.services.push(service(meta, spec)),
        "ServiceAccount" => world.service_accounts.push(meta),
        "NetworkPolicy" => world.network_policies.push(network_policy(meta, spec)),
        "AuthorizationPolicy" => world
            .authorization_policies
            .push(authorization_policy(meta, spec)),
        "PeerAuthentication" => world
            .peer_authentications
            .push(peer_authentication(meta, spec)),
        "Gateway" => world.gateways.push(gateway(meta, spec)),
        other => {
            let kind = WorkloadKind::parse(other).expect("a kind that the generator writes");
            world.workloads.push(workload(meta, kind, object));
        }
    }
}

/// A namespace that an object lives in exists, though nothing more is known of it.
fn mention(world: &mut World, name: &str) {
    world.namespaces.entry(name.to_owned()).or_insert_with(|| {
        let mut meta = Meta::synthetic("", name);
        meta.labels = namespace_name_label(name);
        Namespace {
            meta,
            declared: false,
        }
    });
}

fn meta(value: &Value) -> Meta {
    let namespace = value["namespace"].as_str().unwrap_or("default");
    let mut meta = Meta::synthetic(namespace, text(&value["name"]));
    meta.labels = labels(&value["labels"]);
    meta.annotations = labels(&value["annotations"]);
    meta.owners = list(&value["ownerReferences"])
        .iter()
        .map(|owner| OwnerRef {
            kind: text(&owner["kind"]),
            name: text(&owner["name"]),
            controller: owner["controller"] == true,
        })
        .collect();
    meta
}

fn workload(meta: Meta, kind: WorkloadKind, object: &Value) -> Workload {
    let spec = &object["spec"];
    let template = match kind {
        WorkloadKind::Pod => object,
        WorkloadKind::CronJob => &spec["jobTemplate"]["spec"]["template"],
        _ => &spec["template"],
    };
    let has_selector = spec["selector"].is_object() && kind != WorkloadKind::Pod;
    let selector = has_selector.then(|| match kind {
        WorkloadKind::ReplicationController => LabelSelector {
            match_labels: labels(&spec["selector"]),
            match_expressions: Vec::new(),
        },
        _ => label_selector(&spec["selector"]),
    });
    let addresses = list(&object["status"]["podIPs"]);
    let phase = object["status"]["phase"].as_str();
    let mut pod = pod_template(template);
    // The API server adds these; the Jobs of a CronJob have names that only a run gives them.
    let job = match kind {
        WorkloadKind::Job => Some(meta.name.clone()),
        WorkloadKind::CronJob => Some(format!("{}-*", meta.name)),
        _ => None,
    };
    for key in ["job-name", "batch.kubernetes.io/job-name"] {
        let label = job.iter().map(|name| (key.to_owned(), name.clone()));
        pod.labels.extend(label);
    }
    Workload {
        pod,
        selector,
        replicas: spec["replicas"].as_u64().map(|n| u32::try_from(n).unwrap()),
        addresses: addresses.iter().map(|a| parse(&a["ip"])).collect(),
        terminated: matches!(phase, Some("Succeeded" | "Failed")),
        imagined: false,
        meta,
        kind,
    }
}

fn pod_template(template: &Value) -> PodTemplate {
    let spec = &template["spec"];
    let containers = list(&spec["containers"]);
    let ports = containers.iter().flat_map(|c| list(&c["ports"]));
    PodTemplate {
        labels: labels(&template["metadata"]["labels"]),
        annotations: labels(&template["metadata"]["annotations"]),
        service_account: spec["serviceAccountName"]
            .as_str()
            .unwrap_or("default")
            .to_owned(),
        host_network: spec["hostNetwork"] == true,
        ports: ports
            .map(|p| ContainerPort {
                name: text(&p["name"]),
                number: number(&p["containerPort"]),
                protocol: protocol(&p["protocol"]),
                line: 0,
            })
            .collect(),
        containers: containers.iter().map(|c| text(&c["name"])).collect(),
        images: containers.iter().map(|c| text(&c["image"])).collect(),
        ..PodTemplate::default()
    }
}

fn service(meta: Meta, spec: &Value) -> Service {
    let port = |p: &Value| {
        let own = number(&p["port"]);
        ServicePort {
            name: text(&p["name"]),
            port: own,
            target: match &p["targetPort"] {
                Value::Null => TargetPort::Number(own),
                Value::String(name) => TargetPort::Name(name.clone()),
                given => TargetPort::Number(number(given)),
            },
            protocol: protocol(&p["protocol"]),
            app_protocol: p["appProtocol"].as_str().map(str::to_owned),
        }
    };
    Service {
        meta,
        selector: labels(&spec["selector"]),
        headless: spec["clusterIP"] == "None",
        service_type: spec["type"].as_str().unwrap_or("ClusterIP").to_owned(),
        ports: list(&spec["ports"]).iter().map(port).collect(),
    }
}

fn network_policy(meta: Meta, spec: &Value) -> NetworkPolicy {
    let types: Vec<String> = strings(&spec["policyTypes"]);
    let egress = rules(&spec["egress"], "to");
    // Without `policyTypes` a policy is for ingress, and for egress when it has an egress rule.
    let (isolates_ingress, isolates_egress) = if types.is_empty() {
        (true, !egress.is_empty())
    } else {
        let has = |t: &str| types.iter().any(|given| given == t);
        (has("Ingress"), has("Egress"))
    };
    NetworkPolicy {
        meta,
        pod_selector: label_selector(&spec["podSelector"]),
        isolates_ingress,
        isolates_egress,
        ingress: rules(&spec["ingress"], "from"),
        egress,
    }
}

fn rules(value: &Value, peers: &str) -> Vec<Rule> {
    list(value)
        .iter()
        .map(|rule| Rule {
            peers: list(&rule[peers]).iter().map(peer).collect(),
            ports: list(&rule["ports"]).iter().map(port_rule).collect(),
            line: 0,
        })
        .collect()
}

fn peer(value: &Value) -> Peer {
    let block = &value["ipBlock"];
    if block.is_object() {
        let cidr: ipnet::IpNet = parse(&block["cidr"]);
        return Peer::Block {
            cidr: cidr.trunc(),
            except: list(&block["except"])
                .iter()
                .map(|e| parse::<ipnet::IpNet>(e).trunc())
                .collect(),
        };
    }
    let selector = |v: &Value| v.is_object().then(|| label_selector(v));
    Peer::Pods {
        namespaces: selector(&value["namespaceSelector"]),
        pods: selector(&value["podSelector"]),
    }
}

fn port_rule(value: &Value) -> PortRule {
    let port = match (&value["port"], &value["endPort"]) {
        (Value::Null, _) => PortMatch::All,
        (Value::String(name), _) => PortMatch::Name(name.clone()),
        (single, Value::Null) => PortMatch::Range(number(single), number(single)),
        (first, last) => PortMatch::Range(number(first), number(last)),
    };
    PortRule {
        protocol: protocol(&value["protocol"]),
        port,
    }
}

fn authorization_policy(meta: Meta, spec: &Value) -> AuthorizationPolicy {
    AuthorizationPolicy {
        meta,
        selector: labels(&spec["selector"]["matchLabels"]),
        selects_nothing: spec["selector"].is_object() && spec["selector"]["matchLabels"].is_null(),
        targets: list(&spec["targetRefs"])
            .iter()
            .map(|target| TargetRef {
                group: text(&target["group"]),
                kind: text(&target["kind"]),
                name: text(&target["name"]),
                namespace: target["namespace"].as_str().map(str::to_owned),
            })
            .collect(),
        action: match spec["action"].as_str() {
            None | Some("ALLOW") => Action::Allow,
            Some("DENY") => Action::Deny,
            Some("AUDIT") => Action::Audit,
            _ => Action::Custom,
        },
        rules: list(&spec["rules"])
            .iter()
            .map(authorization_rule)
            .collect(),
    }
}

fn peer_authentication(meta: Meta, spec: &Value) -> PeerAuthentication {
    let mode = |value: &Value| match value["mode"].as_str() {
        Some("DISABLE") => PeerMode::Disable,
        Some("PERMISSIVE") => PeerMode::Permissive,
        Some("STRICT") => PeerMode::Strict,
        _ => PeerMode::Unset,
    };
    let ports = spec["portLevelMtls"].as_object().into_iter().flatten();
    let ports = ports.map(|(port, value)| (port.parse().expect("a port"), mode(value)));
    let mut ports: Vec<(u16, PeerMode)> = ports.collect();
    ports.sort_unstable();
    PeerAuthentication {
        meta,
        selector: labels(&spec["selector"]["matchLabels"]),
        mode: mode(&spec["mtls"]),
        ports,
    }
}

fn authorization_rule(rule: &Value) -> AuthorizationRule {
    AuthorizationRule {
        from: list(&rule["from"])
            .iter()
            .map(|f| source(&f["source"]))
            .collect(),
        to: list(&rule["to"])
            .iter()
            .map(|t| operation(&t["operation"]))
            .collect(),
        when: list(&rule["when"])
            .iter()
            .map(|w| Condition {
                key: text(&w["key"]),
                values: strings(&w["values"]),
                not_values: strings(&w["notValues"]),
            })
            .collect(),
        line: 0,
    }
}

fn source(value: &Value) -> Source {
    Source {
        principals: strings(&value["principals"]),
        not_principals: strings(&value["notPrincipals"]),
        namespaces: strings(&value["namespaces"]),
        not_namespaces: strings(&value["notNamespaces"]),
        service_accounts: strings(&value["serviceAccounts"]),
        not_service_accounts: strings(&value["notServiceAccounts"]),
        ip_blocks: strings(&value["ipBlocks"]),
        not_ip_blocks: strings(&value["notIpBlocks"]),
        layer7: set_fields(value, &["remoteIpBlocks", "requestPrincipals"]),
        ignored: Vec::new(),
    }
}

fn operation(value: &Value) -> Operation {
    Operation {
        ports: strings(&value["ports"]),
        not_ports: strings(&value["notPorts"]),
        layer7: set_fields(value, &["hosts", "methods", "paths"]),
    }
}

fn set_fields(value: &Value, names: &[&str]) -> Vec<String> {
    let set = names.iter().filter(|name| !list(&value[**name]).is_empty());
    set.map(|name| (*name).to_owned()).collect()
}

fn gateway(meta: Meta, spec: &Value) -> Gateway {
    let listener = |l: &Value| Listener {
        name: text(&l["name"]),
        port: number(&l["port"]),
        protocol: text(&l["protocol"]),
        allowed: match l["allowedRoutes"]["namespaces"]["from"].as_str() {
            Some("All") => AllowedNamespaces::All,
            _ => AllowedNamespaces::Same,
        },
    };
    Gateway {
        meta,
        class: text(&spec["gatewayClassName"]),
        listeners: list(&spec["listeners"]).iter().map(listener).collect(),
    }
}

fn label_selector(value: &Value) -> LabelSelector {
    LabelSelector {
        match_labels: labels(&value["matchLabels"]),
        match_expressions: list(&value["matchExpressions"])
            .iter()
            .map(|r| Requirement {
                key: text(&r["key"]),
                operator: match r["operator"].as_str() {
                    Some("In") => Operator::In(strings(&r["values"]).into_iter().collect()),
                    Some("NotIn") => Operator::NotIn(strings(&r["values"]).into_iter().collect()),
                    Some("Exists") => Operator::Exists,
                    _ => Operator::DoesNotExist,
                },
            })
            .collect(),
    }
}

fn labels(value: &Value) -> Labels {
    let Value::Object(map) = value else {
        return Labels::new();
    };
    map.iter().map(|(k, v)| (k.clone(), text(v))).collect()
}

fn protocol(value: &Value) -> Protocol {
    match value.as_str() {
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        _ => Protocol::Tcp,
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn strings<T: From<String>>(value: &Value) -> Vec<T> {
    list(value).iter().map(|v| text(v).into()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u16 {
    u16::try_from(value.as_u64().expect("a number")).expect("a port")
}

fn parse<T: FromStr>(value: &Value) -> T
where
    T::Err: std::fmt::Debug,
{
    value.as_str().unwrap().parse().expect("an address")
}
