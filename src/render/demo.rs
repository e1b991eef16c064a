//! What the demonstration shows.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::table::Table;
use super::text::{Role, Style, escape, wrap};
use crate::demo::{Check, Place};

/// Who there is.
pub fn places(places: &[Place], style: Style) -> String {
    let mut table = Table::new(style, ["RELAY OF", "CLIENTS AT", "TUNNELS AT", "IDENTITY"]);
    for place in places {
        let [outbound, tunnel] = [place.outbound, place.tunnel].map(text);
        table.row([&place.workload, &outbound, &tunnel, &place.identity], None);
    }
    table.to_string()
}

/// What was looked at: each check on a line, with what was seen below it.
pub fn checks(checks: &[Check], style: Style) -> String {
    let mut text = String::new();
    for check in checks {
        let (seen, result, role) = match &check.seen {
            Ok(seen) => (seen, "ok    ", Role::Good),
            Err(why) => (why, "failed", Role::Error),
        };
        let seen = wrap(&escape(seen), 7, style.width);
        _ = writeln!(
            text,
            "{} {}\n       {seen}",
            style.paint(role, result),
            check.name
        );
    }
    let good = checks.iter().filter(|check| check.seen.is_ok()).count();
    _ = writeln!(text, "\n{good} of {} as it should be", checks.len());
    text
}

/// Where to look while it goes on.
pub fn where_to_look(places: &[Place], entrance: Option<SocketAddr>, log: &Path) -> String {
    let mut text = String::new();
    for (what, page) in [("metrics", "/metrics"), ("configuration", "/config_dump")] {
        for place in places {
            let Place {
                workload, admin, ..
            } = place;
            _ = writeln!(
                text,
                "{:<14} http://{admin}{page} of `{workload}`",
                format!("{what}:")
            );
        }
    }
    _ = writeln!(text, "log:           {}", log.display());
    if let Some(at) = entrance {
        let (host, port) = (at.ip(), at.port());
        _ = writeln!(text, "try:           nc {host} {port}");
    }
    text.push_str("\nA connection goes through every second. Ctrl-C ends it.\n");
    text
}

/// How it ended.
pub fn ended(left: &str) -> String {
    format!("ended, and cut off: {left}\n")
}

fn text(address: Option<SocketAddr>) -> String {
    address.map_or_else(String::new, |address| address.to_string())
}
