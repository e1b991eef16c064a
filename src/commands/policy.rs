//! `policy`: who may connect to whom under the network policies.

use std::collections::BTreeSet;

use crate::error::ExpectedError;
use crate::exit::Exit;
use crate::model::{GenericObject, ObjectRef, World};
use crate::reach::{self, Mode, Unclear};
use crate::render::policy as view;
use crate::settings::{PolicyDiff, PolicyExplain, PolicyList};
use crate::source::Request;

use super::names;
use super::output::Output;

/// `policy list`.
pub(super) fn list(settings: &PolicyList, output: &mut Output<'_>) -> Result<Exit, ExpectedError> {
    let (world, whole) = load(&settings.request, output)?;
    let connectivity = reach::connectivity(&world, settings.view.lens.clone());
    let connections: Vec<view::Connection> = connectivity
        .connections
        .into_iter()
        .map(|c| view::Connection {
            source: c.source,
            destination: c.destination,
            connections: c.connections,
        })
        .collect();
    let open = open([&world], connectivity.uncertain);
    let text = if settings.view.json {
        view::connections_json(mode(settings.view.lens.mode), &connections, &open)
    } else {
        view::connections(&connections)
    };
    output.answer(&text)?;
    if connections.is_empty() {
        output.tell(if world.workloads.is_empty() {
            "No connections found: the input holds no workload.\n"
        } else {
            "No connections found.\n"
        });
    }
    output.tell(&view::open(&open, output.error_style()));
    Ok(if whole { Exit::Done } else { Exit::BadInput })
}

/// `policy explain`.
pub(super) fn explain(
    settings: &PolicyExplain,
    output: &mut Output<'_>,
) -> Result<Exit, ExpectedError> {
    let (world, whole) = load(&settings.request, output)?;
    let destination = &settings.destination;
    let explanation = reach::explain(
        &world,
        settings.view.lens.clone(),
        &settings.source,
        &destination.name,
        destination.port.as_ref(),
    );
    let explanation = explanation.map_err(unclear)?;
    let sides = |direction, sides: Vec<reach::Side>| {
        sides.into_iter().map(move |answer| side(direction, answer))
    };
    let egress = sides(view::Direction::Egress, explanation.egress);
    let ingress = sides(view::Direction::Ingress, explanation.ingress);
    let explanation = view::Explanation {
        source: explanation.source.into(),
        destination: explanation.destination.into(),
        asked: explanation.asked,
        allowed: explanation.allowed,
        open: open([&world], u64::from(explanation.uncertain)),
        sides: egress.chain(ingress).collect(),
    };
    let text = if settings.view.json {
        view::explanation_json(mode(settings.view.lens.mode), &explanation)
    } else {
        view::explanation(&explanation, output.style())
    };
    output.answer(&text)?;
    output.tell(&view::open(&explanation.open, output.error_style()));
    Ok(if whole { Exit::Done } else { Exit::BadInput })
}

fn unclear(unclear: Unclear) -> ExpectedError {
    match unclear {
        Unclear::Unknown { name, known } => ExpectedError::UnknownParty {
            similar: names::nearest(&name, &known),
            name,
        },
        Unclear::Ambiguous { name, candidates } => {
            ExpectedError::AmbiguousParty { name, candidates }
        }
        Unclear::NoBackend { name } => ExpectedError::NoBackend(name),
        Unclear::UnknownPort { name, port, known } => {
            ExpectedError::UnknownPort { name, port, known }
        }
    }
}

fn side(direction: view::Direction, side: reach::Side) -> view::SideExplanation {
    let rules = side.rules.into_iter().map(|rule| view::RuleExplanation {
        policy: rule.policy,
        rule: rule.rule,
        origin: rule.origin,
        allows: rule.allows,
    });
    view::SideExplanation {
        direction,
        allowed: side.allowed,
        tier: side.tier,
        because: side.because,
        rules: rules.collect(),
    }
}

/// `policy diff`.
pub(super) fn diff(settings: &PolicyDiff, output: &mut Output<'_>) -> Result<Exit, ExpectedError> {
    let (before, before_whole) = load(&settings.before, output)?;
    let (after, after_whole) = load(&settings.after, output)?;
    if !(before_whole && after_whole) {
        // What could not be read would look like a difference.
        return Err(ExpectedError::IncompleteInput);
    }
    let differences = reach::difference(&before, &after, settings.view.lens.clone());
    let open = view::Open {
        not_compared: differences.silent,
        ..open([&before, &after], differences.uncertain)
    };
    let changes = differences.pairs.into_iter();
    let changes: Vec<view::ConnectionChange> = changes
        .map(|d| view::ConnectionChange {
            source: d.source,
            destination: d.destination,
            before: d.before,
            after: d.after,
        })
        .collect();
    let text = if settings.view.json {
        view::changes_json(mode(settings.view.lens.mode), &changes, &open)
    } else {
        view::changes(&changes, output.style())
    };
    output.answer(&text)?;
    output.tell(&view::open(&open, output.error_style()));
    Ok(if changes.is_empty() {
        Exit::Done
    } else {
        Exit::Found
    })
}

/// What an answer about worlds leaves open.
fn open<'w>(worlds: impl IntoIterator<Item = &'w World>, uncertain: u64) -> view::Open {
    let policies = worlds.into_iter().flat_map(|w| &w.plugin_policies);
    let policies = policies.filter(|p| !p.is_staged());
    let not_evaluated: BTreeSet<ObjectRef> = policies.map(GenericObject::reference).collect();
    view::Open {
        uncertain,
        not_evaluated: not_evaluated.into_iter().collect(),
        not_compared: Vec::new(),
    }
}

/// The world of some input, and whether all of the input could be used.
fn load(request: &Request, output: &mut Output<'_>) -> Result<(World, bool), ExpectedError> {
    let input = super::input::load(request, output)?;
    input.tell(output);
    Ok((input.loaded.world, input.problems.is_empty()))
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Plaintext => "plaintext",
        Mode::Tunnel => "tunnel",
    }
}
