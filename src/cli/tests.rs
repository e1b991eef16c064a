use super::*;

#[test]
fn the_command_line_is_consistent() {
    command().debug_assert();
}

/// Every command with its path, depth first.
fn all(command: &clap::Command) -> Vec<clap::Command> {
    let mut commands = vec![command.clone()];
    for sub in command.get_subcommands() {
        commands.extend(all(sub));
    }
    commands
}

#[test]
fn every_help_ends_with_exit_codes_and_an_example() {
    let mut root = command();
    root.build();
    for command in all(&root) {
        let name = command.get_bin_name().unwrap_or_default().to_owned();
        let help = command.clone().render_long_help().to_string();
        let (_, end) = help.split_once("Exit codes:\n  0 ").expect(&name);
        let (_, example) = end.split_once("\n\nExamples:\n  ").expect(&name);
        assert!(
            example.lines().all(|l| l.contains("ambient")),
            "{name}: {example}"
        );
    }
}

#[test]
fn help_speaks_of_kubectl_ambient() {
    let mut root = command();
    root.build();
    for mut command in all(&root) {
        let usage = command.render_usage().to_string();
        assert!(usage.starts_with("Usage: kubectl ambient"), "{usage}");
    }
}

#[test]
fn destinations_may_carry_a_port() {
    let parties = [
        "shop/db",
        "shop/db:5432",
        "shop/dns:53/udp",
        "10.0.0.1:80",
        "2001:db8::1",
        "[2001:db8::1]:443",
        "svc/db.shop:sql",
        "shop/dns:dns-udp/UDP",
        "shop/db:0",
        "shop/db:65536",
        "shop/db:SQL",
        "shop/db:80/icmp",
        ":80",
    ]
    .map(|text| match values::party(text) {
        Ok(party) => format!("{text} -> {} {:?}", party.name, party.port),
        Err(error) => format!("{text} -> {error}"),
    });
    insta::assert_snapshot!(parties.join("\n"), @r#"
    shop/db -> shop/db None
    shop/db:5432 -> shop/db Some((Number(5432), Tcp))
    shop/dns:53/udp -> shop/dns Some((Number(53), Udp))
    10.0.0.1:80 -> 10.0.0.1 Some((Number(80), Tcp))
    2001:db8::1 -> 2001:db8::1 None
    [2001:db8::1]:443 -> 2001:db8::1 Some((Number(443), Tcp))
    svc/db.shop:sql -> svc/db.shop Some((Name("sql"), Tcp))
    shop/dns:dns-udp/UDP -> shop/dns Some((Name("dns-udp"), Udp))
    shop/db:0 -> `0` is neither a port between 1 and 65535 nor the name of one
    shop/db:65536 -> `65536` is neither a port between 1 and 65535 nor the name of one
    shop/db:SQL -> `SQL` is neither a port between 1 and 65535 nor the name of one
    shop/db:80/icmp -> the protocol is one of `TCP`, `UDP`, `SCTP`
    :80 -> expected a workload, a Service or an address
    "#);
}

#[test]
fn ranges_are_those_of_either_family_without_host_bits() {
    let ranges = [
        "10.244.0.0/16",
        "fd00:10::/56",
        "10.244.0.1/16",
        "10.0.0.0",
        "10.0.0.0/33",
        "",
    ];
    let ranges = ranges.map(|text| match values::cidr(text) {
        Ok(range) => format!("{text} -> {range}"),
        Err(error) => format!("{text} -> {error}"),
    });
    insta::assert_snapshot!(ranges.join("\n"), @"
    10.244.0.0/16 -> 10.244.0.0/16
    fd00:10::/56 -> fd00:10::/56
    10.244.0.1/16 -> it has bits after its prefix; the range is `10.244.0.0/16`
    10.0.0.0 -> expected a range such as `10.244.0.0/16` or `fd00:10:244::/56`
    10.0.0.0/33 -> expected a range such as `10.244.0.0/16` or `fd00:10:244::/56`
     -> expected a range such as `10.244.0.0/16` or `fd00:10:244::/56`
    ");
}
