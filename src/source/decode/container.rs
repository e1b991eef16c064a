//! Containers of a pod: ports, probes and commands.

use std::collections::BTreeSet;

use crate::model::{ContainerPort, PodTemplate, Probe, Protocol, TargetPort};
use crate::source::syntax;

use super::field::{Field, IntOrString, Mapping};
use super::policy::protocol;

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

const HOOKS: [&str; 2] = ["postStart", "preStop"];

/// Reads the init containers and containers of a pod.
pub(super) fn read_all(spec: Mapping<'_, '_, '_>, pod: &mut PodTemplate) {
    let mut names = BTreeSet::new();
    for init in spec.mappings("initContainers") {
        // An init container that restarts runs beside the others: a sidecar of Kubernetes' own.
        let stays = init.text("restartPolicy") == "Always";
        read(init, stays, pod, &mut names);
    }
    let before = pod.containers.len();
    let containers = spec.required("containers");
    for container in containers.into_iter().flat_map(Field::items) {
        if let Some(container) = container.mapping() {
            read(container, true, pod, &mut names);
        }
    }
    if let (Some(field), true) = (containers, pod.containers.len() == before)
        && field.view.items().len() == 0
    {
        field.wrong("must have a container");
    }
}

fn read<'d>(
    container: Mapping<'_, '_, 'd>,
    stays: bool,
    pod: &mut PodTemplate,
    names: &mut BTreeSet<&'d str>,
) {
    container.well_spelled(&[
        "args",
        "command",
        "env",
        "image",
        "lifecycle",
        "livenessProbe",
        "name",
        "ports",
        "readinessProbe",
        "restartPolicy",
        "startupProbe",
    ]);
    let name = container.required("name");
    let name = name.and_then(|f| Some((f, f.string()?)));
    if let Some((field, text)) = name {
        if let Err(rule) = syntax::dns_label(text) {
            field.breaks(text, "the name of a container", rule, None);
        } else if !names.insert(text) {
            field.wrong(format!(
                "is `{text}`, the name of another container already"
            ));
        }
    }
    let name = name.map_or("", |(_, text)| text);
    pod.containers.push(name.to_owned());
    pod.images.push(container.text("image").to_owned());
    let ports = ports(container);
    let probes = PROBES.iter().filter_map(|key| container.mapping(key));
    let probes = probes.filter_map(|p| probe(p, name));
    let hooks = hooks(container).filter_map(|h| hook(h, name));
    let probes: Vec<Probe> = probes.chain(hooks).collect();
    commands(container, &mut pod.commands);
    if stays {
        pod.ports.extend(ports);
        pod.probes.extend(probes);
    }
}

fn ports(container: Mapping<'_, '_, '_>) -> Vec<ContainerPort> {
    let mut ports = Vec::new();
    let mut names = BTreeSet::new();
    for entry in container.mappings("ports") {
        entry.well_spelled(&["containerPort", "name", "protocol"]);
        let number = entry.required("containerPort").and_then(Field::port);
        let protocol = match entry.get("protocol") {
            Some(field) => protocol(field),
            None => Some(Protocol::Tcp),
        };
        let name = match entry.get("name") {
            Some(field) => field.string().filter(|t| !t.is_empty()).map(|t| (field, t)),
            None => None,
        };
        if let Some((field, text)) = name {
            if let Err(rule) = syntax::port_name(text) {
                field.breaks(text, "a port name", rule, None);
            } else if !names.insert(text) {
                field.wrong(format!(
                    "is `{text}`, the name of another port of this container"
                ));
            }
        }
        if let (Some(number), Some(protocol)) = (number, protocol) {
            ports.push(ContainerPort {
                name: name.map_or("", |(_, text)| text).to_owned(),
                number,
                protocol,
                line: entry.field.line(),
            });
        }
    }
    ports
}

/// The port that the kubelet sends a probe to; `None` for a probe that runs a command.
fn probe(probe: Mapping<'_, '_, '_>, container: &str) -> Option<Probe> {
    let http = probe
        .mapping("httpGet")
        .or_else(|| probe.mapping("tcpSocket"));
    let port = if let Some(target) = http {
        target.required("port").and_then(target_port)?
    } else {
        let port = probe.mapping("grpc")?.required("port")?;
        TargetPort::Number(port.port()?)
    };
    Some(Probe {
        container: container.to_owned(),
        port,
    })
}

/// What runs when a container starts, and before it is stopped.
fn hooks<'f, 's, 'd>(container: Mapping<'f, 's, 'd>) -> impl Iterator<Item = Mapping<'f, 's, 'd>> {
    let lifecycle = container.mapping("lifecycle");
    HOOKS
        .into_iter()
        .filter_map(move |key| lifecycle?.mapping(key))
}

/// The port that the kubelet calls for a hook. One by `tcpSocket` is never run (`LifecycleHandler` in
/// `k8s.io/api` `core/v1/types.go`).
fn hook(hook: Mapping<'_, '_, '_>, container: &str) -> Option<Probe> {
    let port = hook.mapping("httpGet")?.required("port");
    Some(Probe {
        container: container.to_owned(),
        port: port.and_then(target_port)?,
    })
}

/// Reads a port by number or name.
pub(super) fn target_port(field: Field<'_, '_, '_>) -> Option<TargetPort> {
    match field.int_or_string()? {
        IntOrString::Int(_) => field.port().map(TargetPort::Number),
        IntOrString::String(name) => match syntax::port_name(name) {
            Ok(()) => Some(TargetPort::Name(name.to_owned())),
            Err(rule) => {
                let hint = name.parse::<u16>().is_ok().then(|| field.as_plain(name));
                field.breaks(name, "a port name", rule, hint);
                None
            }
        },
    }
}

/// What runs in a container and what it is told: it names addresses and other containers' ports.
fn commands(container: Mapping<'_, '_, '_>, commands: &mut Vec<String>) {
    for key in ["command", "args"] {
        commands.extend(container.get(key).into_iter().flat_map(Field::strings));
    }
    for variable in container.mappings("env") {
        if let Some(value) = variable.get("value").and_then(Field::string) {
            commands.push(value.to_owned());
        }
    }
    let probes = PROBES.iter().filter_map(|key| container.mapping(key));
    for action in hooks(container).chain(probes) {
        let exec = action.mapping("exec").and_then(|e| e.get("command"));
        commands.extend(exec.into_iter().flat_map(Field::strings));
    }
}
