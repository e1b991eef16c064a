//! Pods and the kinds that create pods.

use ambient_facts::labels;

use crate::model::{LabelSelector, Labels, Meta, PodTemplate, Workload, WorkloadKind};

use super::container;
use super::field::{Field, Mapping};
use super::meta;

/// Reads a workload; what is wrong with it is reported on the way.
pub(super) fn workload(object: Mapping<'_, '_, '_>, meta: Meta, kind: WorkloadKind) -> Workload {
    let mut workload = Workload {
        meta,
        kind,
        pod: PodTemplate::default(),
        selector: None,
        replicas: None,
        addresses: Vec::new(),
        terminated: false,
        imagined: false,
    };
    let Some(spec) = object.required("spec").and_then(Field::mapping) else {
        return workload;
    };
    spec.well_spelled(&[
        "jobTemplate",
        "manualSelector",
        "replicas",
        "selector",
        "template",
    ]);
    match kind {
        WorkloadKind::Pod => {
            workload.pod = pod_spec(spec);
            workload.pod.line = object.field.line();
            workload.pod.labels = workload.meta.labels.clone();
            workload.pod.annotations = workload.meta.annotations.clone();
            status(object, &mut workload);
        }
        WorkloadKind::CronJob => {
            let job = spec.required("jobTemplate").and_then(Field::mapping);
            let job = job
                .and_then(|j| j.required("spec"))
                .and_then(Field::mapping);
            if let Some(job) = job {
                template(job, &mut workload);
                // A Job's name ends with the time of its run: with what no selector can say here.
                let name = format!("{}-*", workload.meta.name);
                of_job(job, &name, &mut workload.pod.labels);
            }
        }
        _ => {
            template(spec, &mut workload);
            selector(spec, &mut workload);
            if kind == WorkloadKind::Job {
                of_job(spec, &workload.meta.name, &mut workload.pod.labels);
            }
        }
    }
    if let Some(field) = spec.get("replicas")
        && let Some(replicas) = field.integer()
    {
        match u32::try_from(replicas) {
            Ok(replicas) => workload.replicas = Some(replicas),
            Err(_) => field.wrong(format!("is {replicas}; it must not be negative")),
        }
    }
    workload
}

fn template(spec: Mapping<'_, '_, '_>, workload: &mut Workload) {
    let Some(field) = spec.required("template") else {
        return;
    };
    let Some(template) = field.mapping() else {
        return;
    };
    if let Some(pod) = template.required("spec").and_then(Field::mapping) {
        workload.pod = pod_spec(pod);
    }
    workload.pod.line = field.line();
    template.well_spelled(&["metadata", "spec"]);
    if let Some(metadata) = template.mapping("metadata") {
        metadata.well_spelled(&["annotations", "labels"]);
        workload.pod.labels = metadata.get("labels").map(meta::labels).unwrap_or_default();
        workload.pod.annotations = metadata
            .get("annotations")
            .map(Field::string_map)
            .unwrap_or_default();
    }
}

fn selector(spec: Mapping<'_, '_, '_>, workload: &mut Workload) {
    let kind = workload.kind;
    let field = match kind {
        // A Job's selector is generated, a ReplicationController's is its template's labels.
        WorkloadKind::Job | WorkloadKind::ReplicationController => spec.get("selector"),
        _ => spec.required("selector"),
    };
    let labels = &workload.pod.labels;
    let selector = match (field, kind) {
        (Some(field), WorkloadKind::ReplicationController) => {
            LabelSelector::from(&meta::labels(field))
        }
        (Some(field), _) => meta::selector(field),
        (None, WorkloadKind::ReplicationController) => LabelSelector::from(labels),
        (None, _) => return,
    };
    let at = field.unwrap_or(spec.field);
    if at.reading.has_failed() {
        // What could not be read would not match either; the reason has been reported.
    } else if selector.is_empty() && kind != WorkloadKind::Job {
        at.wrong("selects nothing in particular: the API server rejects an empty selector");
    } else if !selector.matches(labels) && (kind != WorkloadKind::Job || manual_selector(spec)) {
        at.wrong(format!(
            "does not match the labels of the template, which are {}",
            written(labels)
        ));
    }
    workload.selector = Some(selector);
}

/// The labels by which the API server lets a Job find its pods (`generateSelector` in
/// `pkg/registry/batch/job/strategy.go`), so that they stand in no manifest.
fn of_job(spec: Mapping<'_, '_, '_>, name: &str, labels: &mut Labels) {
    if !manual_selector(spec) && !name.is_empty() {
        for key in labels::JOB_NAMES {
            labels
                .entry(key.to_owned())
                .or_insert_with(|| name.to_owned());
        }
    }
}

fn manual_selector(spec: Mapping<'_, '_, '_>) -> bool {
    spec.get("manualSelector").and_then(Field::boolean) == Some(true)
}

fn written(labels: &Labels) -> String {
    if labels.is_empty() {
        return "none".to_owned();
    }
    let pairs: Vec<String> = labels.iter().map(|(k, v)| format!("`{k}={v}`")).collect();
    pairs.join(", ")
}

fn pod_spec(spec: Mapping<'_, '_, '_>) -> PodTemplate {
    spec.well_spelled(&[
        "containers",
        "dnsConfig",
        "dnsPolicy",
        "hostNetwork",
        "initContainers",
        "nodeSelector",
        "os",
        "serviceAccount",
        "serviceAccountName",
    ]);
    let service_account = [spec.text("serviceAccountName"), spec.text("serviceAccount")]
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or("default");
    let mut pod = PodTemplate {
        service_account: service_account.to_owned(),
        host_network: spec.get("hostNetwork").and_then(Field::boolean) == Some(true),
        windows: runs_on_windows(spec),
        name_servers: name_servers(spec),
        asks_as_node: spec.text("dnsPolicy") == "Default",
        ..PodTemplate::default()
    };
    container::read_all(spec, &mut pod);
    pod
}

fn name_servers(spec: Mapping<'_, '_, '_>) -> Vec<String> {
    let servers = spec
        .mapping("dnsConfig")
        .and_then(|dns| dns.get("nameservers"));
    servers.map(Field::strings).unwrap_or_default()
}

fn runs_on_windows(spec: Mapping<'_, '_, '_>) -> bool {
    let named = spec.mapping("os").map(|os| os.text("name"));
    let selected = spec
        .mapping("nodeSelector")
        .map(|s| s.text("kubernetes.io/os"));
    [named, selected].contains(&Some("windows"))
}

fn status(object: Mapping<'_, '_, '_>, workload: &mut Workload) {
    let Some(status) = object.mapping("status") else {
        return;
    };
    workload.terminated = matches!(status.text("phase"), "Succeeded" | "Failed");
    let all = status.mappings("podIPs").filter_map(|ip| ip.get("ip"));
    for field in all.chain(status.get("podIP")) {
        let Some(text) = field.string().filter(|t| !t.is_empty()) else {
            continue;
        };
        match text.parse() {
            Ok(address) if !workload.addresses.contains(&address) => {
                workload.addresses.push(address);
            }
            Ok(_) => {}
            Err(_) => field.wrong(format!("is `{text}`, which is no IP address")),
        }
    }
}
