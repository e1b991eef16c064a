# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kubectl_ambient_global_optspecs
    string join \n color= h/help V/version
end

function __fish_kubectl_ambient_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kubectl_ambient_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kubectl_ambient_using_subcommand
    set -l cmd (__fish_kubectl_ambient_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kubectl-ambient -n "__fish_kubectl_ambient_needs_command" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Everywhere, into files too'
never\t'Nowhere'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_needs_command" -s V -l version -d 'Print version'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_needs_command" -f -a "migrate" -d 'Plan the move of workloads to ambient mesh, and prove that no connection changes'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_needs_command" -f -a "policy" -d 'Show who may connect to whom under the network policies'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_needs_command" -f -a "diagnose" -d 'Probe tunnels from outside, and name what is the matter with them'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_needs_command" -f -a "demo" -d 'Watch a tunnel between two relays on this machine, without a cluster'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_needs_command" -f -a "explain" -d 'Explain a finding code, or a cause that `diagnose` names'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_needs_command" -f -a "completion" -d 'Print a completion script for a shell'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_needs_command" -f -a "version" -d 'Print the version'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_needs_command" -f -a "options" -d 'List the flags that every command takes'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_needs_command" -f -a "help" -d 'Print the help of a command'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -s f -l filename -d 'A file or folder of manifests, or `-` for standard input' -r -F
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -s k -l kustomize -d 'A folder with a kustomization, built with `kubectl kustomize`' -r -f -a "(__fish_complete_directories)"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -s n -l namespace -d 'The namespace of objects that name none' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l only -d 'Enrol only this namespace' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l exclude -d 'Do not enrol this namespace' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l waypoint -d 'Plan with a waypoint for a namespace, or for all that are enrolled' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l cni -d 'The network plugin; `auto` looks for it in the manifests' -r -f -a "auto\t''
unknown\t''
calico\t''
calico-ebpf\t''
calico-ambient\t''
cilium\t''
antrea\t''
antrea-userspace\t''
ovn-kubernetes\t''
aws-vpc\t''
gke-dataplane-v2\t''
kube-router\t''
weave\t''
flannel\t''
kindnet\t''"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l pod-cidr -d 'A range that pods get their addresses from; the private ranges when none is given' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l authz -d 'How port limits are kept inside the tunnel' -r -f -a "deny\t'Refuse the other ports'
allow\t'Allow the ports that are allowed today, and nothing else'
none\t'Not at all: the limits are reported as gained connections'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l strategy -d 'How policies that exist are changed' -r -f -a "edit\t'Insert into the object'
companion\t'Add an object beside it'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l accept -d 'Accept a finding by its id, all findings of a code, or `all`' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l fail-on -d 'The severity from which findings fail the run' -r -f -a "error\t'Errors'
warning\t'Warnings and errors'
info\t'Any finding'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l output-dir -d 'Write the changed files into this folder instead' -r -f -a "(__fish_complete_directories)"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l dry-run -d 'Whether to check everything, but write nothing' -r -f -a "none\t'Write what `--write` or `--output-dir` asks for'
client\t'Do everything but write'
server\t'Let the API server check it; there is none for files'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -s o -l output -d 'Output format' -r -f -a "table\t'Tables for people'
json\t'One JSON document'
yaml\t'One YAML document'
markdown\t'A comment for a pull request'
sarif\t'SARIF 2.1.0 for code scanning'
github\t'Annotations and step summary of GitHub Actions'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Everywhere, into files too'
never\t'Nowhere'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -s R -l recursive -d 'Read folders with everything below them'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l enroll -d 'Write the enrolment labels too; else they are listed as a step of their own'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l diff -d 'Show the diff of the files as well'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l write -d 'Change the files in place, if no finding stands against it'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -l keep-going -d 'With `--write`: write although some of the input cannot be used'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -f -a "plan" -d 'Show what has to change, what to know first, and the proof (the default)'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and not __fish_seen_subcommand_from plan diff" -f -a "diff" -d 'Print the changes as a unified diff'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -s f -l filename -d 'A file or folder of manifests, or `-` for standard input' -r -F
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -s k -l kustomize -d 'A folder with a kustomization, built with `kubectl kustomize`' -r -f -a "(__fish_complete_directories)"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -s n -l namespace -d 'The namespace of objects that name none' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l only -d 'Enrol only this namespace' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l exclude -d 'Do not enrol this namespace' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l waypoint -d 'Plan with a waypoint for a namespace, or for all that are enrolled' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l cni -d 'The network plugin; `auto` looks for it in the manifests' -r -f -a "auto\t''
unknown\t''
calico\t''
calico-ebpf\t''
calico-ambient\t''
cilium\t''
antrea\t''
antrea-userspace\t''
ovn-kubernetes\t''
aws-vpc\t''
gke-dataplane-v2\t''
kube-router\t''
weave\t''
flannel\t''
kindnet\t''"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l pod-cidr -d 'A range that pods get their addresses from; the private ranges when none is given' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l authz -d 'How port limits are kept inside the tunnel' -r -f -a "deny\t'Refuse the other ports'
allow\t'Allow the ports that are allowed today, and nothing else'
none\t'Not at all: the limits are reported as gained connections'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l strategy -d 'How policies that exist are changed' -r -f -a "edit\t'Insert into the object'
companion\t'Add an object beside it'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l accept -d 'Accept a finding by its id, all findings of a code, or `all`' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l fail-on -d 'The severity from which findings fail the run' -r -f -a "error\t'Errors'
warning\t'Warnings and errors'
info\t'Any finding'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l output-dir -d 'Write the changed files into this folder instead' -r -f -a "(__fish_complete_directories)"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l dry-run -d 'Whether to check everything, but write nothing' -r -f -a "none\t'Write what `--write` or `--output-dir` asks for'
client\t'Do everything but write'
server\t'Let the API server check it; there is none for files'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -s o -l output -d 'Output format' -r -f -a "table\t'Tables for people'
json\t'One JSON document'
yaml\t'One YAML document'
markdown\t'A comment for a pull request'
sarif\t'SARIF 2.1.0 for code scanning'
github\t'Annotations and step summary of GitHub Actions'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Everywhere, into files too'
never\t'Nowhere'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -s R -l recursive -d 'Read folders with everything below them'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l enroll -d 'Write the enrolment labels too; else they are listed as a step of their own'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l diff -d 'Show the diff of the files as well'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l write -d 'Change the files in place, if no finding stands against it'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -l keep-going -d 'With `--write`: write although some of the input cannot be used'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -s f -l filename -d 'A file or folder of manifests, or `-` for standard input' -r -F
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -s k -l kustomize -d 'A folder with a kustomization, built with `kubectl kustomize`' -r -f -a "(__fish_complete_directories)"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -s n -l namespace -d 'The namespace of objects that name none' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -l only -d 'Enrol only this namespace' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -l exclude -d 'Do not enrol this namespace' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -l waypoint -d 'Plan with a waypoint for a namespace, or for all that are enrolled' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -l cni -d 'The network plugin; `auto` looks for it in the manifests' -r -f -a "auto\t''
unknown\t''
calico\t''
calico-ebpf\t''
calico-ambient\t''
cilium\t''
antrea\t''
antrea-userspace\t''
ovn-kubernetes\t''
aws-vpc\t''
gke-dataplane-v2\t''
kube-router\t''
weave\t''
flannel\t''
kindnet\t''"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -l pod-cidr -d 'A range that pods get their addresses from; the private ranges when none is given' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -l authz -d 'How port limits are kept inside the tunnel' -r -f -a "deny\t'Refuse the other ports'
allow\t'Allow the ports that are allowed today, and nothing else'
none\t'Not at all: the limits are reported as gained connections'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -l strategy -d 'How policies that exist are changed' -r -f -a "edit\t'Insert into the object'
companion\t'Add an object beside it'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -l accept -d 'Accept a finding by its id, all findings of a code, or `all`' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -l fail-on -d 'The severity from which findings fail the run' -r -f -a "error\t'Errors'
warning\t'Warnings and errors'
info\t'Any finding'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Everywhere, into files too'
never\t'Nowhere'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -s R -l recursive -d 'Read folders with everything below them'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -l enroll -d 'Write the enrolment labels too; else they are listed as a step of their own'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand migrate; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and not __fish_seen_subcommand_from list explain diff" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Everywhere, into files too'
never\t'Nowhere'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and not __fish_seen_subcommand_from list explain diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and not __fish_seen_subcommand_from list explain diff" -f -a "list" -d 'List who may connect to whom'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and not __fish_seen_subcommand_from list explain diff" -f -a "explain" -d 'Explain why one workload may connect to another, or may not'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and not __fish_seen_subcommand_from list explain diff" -f -a "diff" -d 'Compare the connections of two folders or files'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from list" -s f -l filename -d 'A file or folder of manifests, or `-` for standard input' -r -F
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from list" -s k -l kustomize -d 'A folder with a kustomization, built with `kubectl kustomize`' -r -f -a "(__fish_complete_directories)"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from list" -s n -l namespace -d 'The namespace of objects that name none' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from list" -l mode -d 'Which connections' -r -f -a "plaintext\t'Without a mesh: policies see the application\'s ports'
tunnel\t'Every workload enrolled: policies see the tunnel'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from list" -l pod-cidr -d 'A range that pods get their addresses from; the private ranges when none is given' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from list" -s o -l output -d 'Output format' -r -f -a "text\t'Lines for people'
json\t'One JSON document'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from list" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Everywhere, into files too'
never\t'Nowhere'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from list" -s R -l recursive -d 'Read folders with everything below them'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from explain" -s f -l filename -d 'A file or folder of manifests, or `-` for standard input' -r -F
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from explain" -s k -l kustomize -d 'A folder with a kustomization, built with `kubectl kustomize`' -r -f -a "(__fish_complete_directories)"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from explain" -s n -l namespace -d 'The namespace of objects that name none' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from explain" -l mode -d 'Which connections' -r -f -a "plaintext\t'Without a mesh: policies see the application\'s ports'
tunnel\t'Every workload enrolled: policies see the tunnel'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from explain" -l pod-cidr -d 'A range that pods get their addresses from; the private ranges when none is given' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from explain" -s o -l output -d 'Output format' -r -f -a "text\t'Lines for people'
json\t'One JSON document'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from explain" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Everywhere, into files too'
never\t'Nowhere'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from explain" -s R -l recursive -d 'Read folders with everything below them'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from diff" -s n -l namespace -d 'The namespace of objects that name none' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from diff" -l mode -d 'Which connections' -r -f -a "plaintext\t'Without a mesh: policies see the application\'s ports'
tunnel\t'Every workload enrolled: policies see the tunnel'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from diff" -l pod-cidr -d 'A range that pods get their addresses from; the private ranges when none is given' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from diff" -s o -l output -d 'Output format' -r -f -a "text\t'Lines for people'
json\t'One JSON document'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from diff" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Everywhere, into files too'
never\t'Nowhere'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from diff" -s R -l recursive -d 'Read folders with everything below them'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand policy; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand diagnose" -l address -d 'Who to probe, as `HOST` or `HOST:PORT`; the tunnel\'s port when left out (repeatable)' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand diagnose" -s f -l filename -d 'A file with addresses, a line each, or `-` for standard input (repeatable)' -r -F
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand diagnose" -l cert -d 'The certificate to show, with its chain (PEM)' -r -F
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand diagnose" -l key -d 'The key of the certificate (PEM)' -r -F
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand diagnose" -l root -d 'Roots that the peer\'s certificate has to lead to (PEM); any certificate is taken without' -r -F
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand diagnose" -l expect-identity -d 'The identity that the peer has to have' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand diagnose" -l target -d 'Where to be connected to through the tunnel; without it the probe ends after HTTP/2' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand diagnose" -l size -d 'Octets to send through the tunnel, one size after the other; nothing is sent without' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand diagnose" -l timeout -d 'The longest time of each step: a probe ends within that of all of them together' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand diagnose" -l count -d 'How often to probe each address' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand diagnose" -l interval -d 'The time from one probe of an address to the next; each address has its own pace' -r
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand diagnose" -s o -l output -d 'Output format' -r -f -a "table\t'Tables for people'
json\t'One JSON document'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand diagnose" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Everywhere, into files too'
never\t'Nowhere'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand diagnose" -l watch -d 'Go on probing, and show what changes, until interrupted'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand diagnose" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand demo" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Everywhere, into files too'
never\t'Nowhere'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand demo" -l once -d 'End after the checks, instead of with Ctrl-C'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand explain" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Everywhere, into files too'
never\t'Nowhere'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand completion" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Everywhere, into files too'
never\t'Nowhere'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand completion" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand version" -s o -l output -d 'Output format' -r -f -a "text\t'One line'
json\t'One JSON document'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand version" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Everywhere, into files too'
never\t'Nowhere'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand options" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Everywhere, into files too'
never\t'Nowhere'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand options" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand help" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Everywhere, into files too'
never\t'Nowhere'"
complete -c kubectl-ambient -n "__fish_kubectl_ambient_using_subcommand help" -s h -l help -d 'Print help (see more with \'--help\')'
