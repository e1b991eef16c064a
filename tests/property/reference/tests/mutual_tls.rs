//! PeerAuthentication: which mode holds where.

use kubectl_ambient::model::PeerMode;

use super::super::modes;
use super::{pod, with};

/// The modes that may hold for port 80 of `shop/api`, where namespaces have policies that say this.
fn modes_of(policies: &[(&str, &str)]) -> Vec<PeerMode> {
    let policies = policies.iter().zip(0..).map(|((namespace, spec), number)| {
        format!(
            "---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: p{number}, namespace: {namespace}}}
spec: {spec}
"
        )
    });
    let world = with(&policies.collect::<String>());
    modes(&world, &pod(&world, "shop/api"), 80)
        .into_iter()
        .collect()
}

fn mode(mode: &str) -> String {
    format!("{{mtls: {{mode: {mode}}}}}")
}

fn own(mode: &str, ports: &str) -> String {
    format!(
        "{{selector: {{matchLabels: {{app: api}}}}, mtls: {{mode: {mode}}}, portLevelMtls: {{{ports}}}}}"
    )
}

#[test]
fn the_narrowest_mode_that_is_set_holds() {
    use PeerMode::{Disable, Permissive, Strict};
    let (strict, unset, disable) = (mode("STRICT"), mode("UNSET"), mode("DISABLE"));
    assert_eq!(modes_of(&[]), [Permissive]);
    assert_eq!(modes_of(&[("istio-system", &strict)]), [Strict]);
    assert_eq!(modes_of(&[("bank", &strict)]), [Permissive]);
    assert_eq!(
        modes_of(&[("istio-system", &strict), ("shop", &disable)]),
        [Disable]
    );
    assert_eq!(
        modes_of(&[("istio-system", &strict), ("shop", &unset)]),
        [Strict]
    );
    let own_disable = own("DISABLE", "");
    assert_eq!(
        modes_of(&[("shop", &own_disable), ("shop", &strict)]),
        [Disable]
    );
    assert_eq!(
        modes_of(&[("istio-system", &own("STRICT", ""))]),
        [Permissive]
    );
}

#[test]
fn a_port_has_a_mode_of_its_own_unless_that_is_unset() {
    use PeerMode::{Permissive, Strict};
    let strict = mode("STRICT");
    let with_port = |ports| modes_of(&[("shop", &strict), ("shop", &own("UNSET", ports))]);
    assert_eq!(with_port("\"80\": {mode: PERMISSIVE}"), [Permissive]);
    assert_eq!(with_port("\"81\": {mode: PERMISSIVE}"), [Strict]);
    assert_eq!(with_port("\"80\": {mode: UNSET}"), [Strict]);
}

#[test]
fn of_two_policies_for_the_same_pods_either_may_be_the_older() {
    use PeerMode::{Permissive, Strict};
    let two = [("shop", mode("STRICT")), ("shop", mode("PERMISSIVE"))];
    let two: Vec<_> = two.iter().map(|(n, spec)| (*n, spec.as_str())).collect();
    assert_eq!(modes_of(&two), [Permissive, Strict]);
}
