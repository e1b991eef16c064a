//! The program under test, from the text of manifests to their text after the plan.

use std::sync::Arc;

use kubectl_ambient::migrate::{self, AuthzMode, Options, Strategy, WaypointRequest};
use kubectl_ambient::sink::{self, Input, InputKind};
use kubectl_ambient::source;
use kubectl_ambient::yaml::Format;

use crate::check::{Migration, Outcome};
use crate::generate::{Authorization, File, Request};

/// Loads, plans and prepares, as `kubectl ambient migrate --write` does.
pub(crate) struct Program;

impl Migration for Program {
    fn migrate(&self, files: &[File], request: &Request) -> Result<Outcome, String> {
        let texts = files.iter().map(|f| (f.name.as_str(), f.text.as_str()));
        let loaded = source::load_texts(texts, "default");
        if let Some(problem) = loaded.problems.first() {
            return Err(format!("{problem:?}"));
        }
        let plan = migrate::plan(&loaded.world, &options(request));
        let inputs: Vec<_> = loaded
            .files
            .iter()
            .map(|file| Input {
                name: Arc::clone(&file.name),
                path: file.path.clone(),
                link_to: file.link_to.clone(),
                text: Arc::clone(&file.text),
                format: file.format,
                kind: InputKind::Text,
            })
            .collect();
        let prepared = sink::prepare(&plan, &inputs);
        if let Some(refusal) = prepared.refusals.first() {
            return Err(format!("{refusal:?}"));
        }
        let mut after = files.to_vec();
        for change in prepared.changes {
            let text = change.after.to_string();
            match after.iter_mut().find(|f| *f.name == *change.name) {
                Some(file) => file.text = text,
                None => after.push(File {
                    name: change.name.to_string(),
                    text,
                    format: Format::Yaml,
                }),
            }
        }
        Ok(Outcome {
            plan,
            world: loaded.world,
            after,
        })
    }
}

fn options(request: &Request) -> Options {
    let waypoints = request.waypoints.iter();
    Options {
        exclude: request.exclude.clone(),
        waypoints: waypoints
            .map(|(name, namespace)| WaypointRequest {
                name: name.clone(),
                namespace: Some(namespace.clone()),
            })
            .collect(),
        authz: match request.authorization {
            Authorization::Deny => AuthzMode::Deny,
            Authorization::Allow => AuthzMode::Allow,
            Authorization::None => AuthzMode::None,
        },
        strategy: if request.edit {
            Strategy::Edit
        } else {
            Strategy::Companion
        },
        enroll: true,
        ..Options::default()
    }
}
