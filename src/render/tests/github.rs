use super::*;

#[test]
fn a_plan_as_workflow_commands() {
    insta::assert_snapshot!(show(Format::Github), @"
    ::error file=k8s/broken.yaml,line=3,col=7,title=bad input::mapping values are not allowed here%0Ahint: quote the value
    ::error file=k8s/shop.yaml,line=12,title=AMB0110-d393c037 connections gained through the tunnel::shop/networkpolicy/db: `shop/db` would take connections that `db` refuses today%0Ashop/web[Deployment] => shop/db[StatefulSet] : TCP 1-5431 (for example TCP 81)%0Afix: give `shop/web` a service account of its own
    ::notice file=k8s/shop.yaml,line=12,title=AMB0110-48af4163 connections gained through the tunnel (accepted)::shop/networkpolicy/cache: `shop/cache` would take connections that `cache` refuses today%0Ashop/web[Deployment] => shop/cache[StatefulSet] : All Connections (for example TCP 81)%0Afix: give `shop/web` a service account of its own
    ::notice file=k8s/shop.yaml,line=14,title=AMB0102-cba4f938 tunnel port closed::shop/networkpolicy/db: its ingress rules do not let the tunnel through%0Afix: Apply the plan's change of this policy, in files with `--write`, before the namespace is enrolled.
    ::error title=kubectl ambient::nothing was written: 1 finding is not accepted
    ::notice title=kubectl ambient::gained: no connection is lost, some are gained, as far as the input can be used (equal 1234, lost 0, gained 1, unknown 0)
    ");
}
