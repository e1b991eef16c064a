
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'kubectl-ambient' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'kubectl-ambient'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'kubectl-ambient' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('migrate', 'migrate', [CompletionResultType]::ParameterValue, 'Plan the move of workloads to ambient mesh, and prove that no connection changes')
            [CompletionResult]::new('policy', 'policy', [CompletionResultType]::ParameterValue, 'Show who may connect to whom under the network policies')
            [CompletionResult]::new('diagnose', 'diagnose', [CompletionResultType]::ParameterValue, 'Probe tunnels from outside, and name what is the matter with them')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Watch a tunnel between two relays on this machine, without a cluster')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Explain a finding code, or a cause that `diagnose` names')
            [CompletionResult]::new('completion', 'completion', [CompletionResultType]::ParameterValue, 'Print a completion script for a shell')
            [CompletionResult]::new('version', 'version', [CompletionResultType]::ParameterValue, 'Print the version')
            [CompletionResult]::new('options', 'options', [CompletionResultType]::ParameterValue, 'List the flags that every command takes')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print the help of a command')
            break
        }
        'kubectl-ambient;migrate' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'A file or folder of manifests, or `-` for standard input')
            [CompletionResult]::new('--filename', '--filename', [CompletionResultType]::ParameterName, 'A file or folder of manifests, or `-` for standard input')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'A folder with a kustomization, built with `kubectl kustomize`')
            [CompletionResult]::new('--kustomize', '--kustomize', [CompletionResultType]::ParameterName, 'A folder with a kustomization, built with `kubectl kustomize`')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'The namespace of objects that name none')
            [CompletionResult]::new('--namespace', '--namespace', [CompletionResultType]::ParameterName, 'The namespace of objects that name none')
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Enrol only this namespace')
            [CompletionResult]::new('--exclude', '--exclude', [CompletionResultType]::ParameterName, 'Do not enrol this namespace')
            [CompletionResult]::new('--waypoint', '--waypoint', [CompletionResultType]::ParameterName, 'Plan with a waypoint for a namespace, or for all that are enrolled')
            [CompletionResult]::new('--cni', '--cni', [CompletionResultType]::ParameterName, 'The network plugin; `auto` looks for it in the manifests')
            [CompletionResult]::new('--pod-cidr', '--pod-cidr', [CompletionResultType]::ParameterName, 'A range that pods get their addresses from; the private ranges when none is given')
            [CompletionResult]::new('--authz', '--authz', [CompletionResultType]::ParameterName, 'How port limits are kept inside the tunnel')
            [CompletionResult]::new('--strategy', '--strategy', [CompletionResultType]::ParameterName, 'How policies that exist are changed')
            [CompletionResult]::new('--accept', '--accept', [CompletionResultType]::ParameterName, 'Accept a finding by its id, all findings of a code, or `all`')
            [CompletionResult]::new('--fail-on', '--fail-on', [CompletionResultType]::ParameterName, 'The severity from which findings fail the run')
            [CompletionResult]::new('--output-dir', '--output-dir', [CompletionResultType]::ParameterName, 'Write the changed files into this folder instead')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Whether to check everything, but write nothing')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Output format')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Output format')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'Read folders with everything below them')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'Read folders with everything below them')
            [CompletionResult]::new('--enroll', '--enroll', [CompletionResultType]::ParameterName, 'Write the enrolment labels too; else they are listed as a step of their own')
            [CompletionResult]::new('--diff', '--diff', [CompletionResultType]::ParameterName, 'Show the diff of the files as well')
            [CompletionResult]::new('--write', '--write', [CompletionResultType]::ParameterName, 'Change the files in place, if no finding stands against it')
            [CompletionResult]::new('--keep-going', '--keep-going', [CompletionResultType]::ParameterName, 'With `--write`: write although some of the input cannot be used')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('plan', 'plan', [CompletionResultType]::ParameterValue, 'Show what has to change, what to know first, and the proof (the default)')
            [CompletionResult]::new('diff', 'diff', [CompletionResultType]::ParameterValue, 'Print the changes as a unified diff')
            break
        }
        'kubectl-ambient;migrate;plan' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'A file or folder of manifests, or `-` for standard input')
            [CompletionResult]::new('--filename', '--filename', [CompletionResultType]::ParameterName, 'A file or folder of manifests, or `-` for standard input')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'A folder with a kustomization, built with `kubectl kustomize`')
            [CompletionResult]::new('--kustomize', '--kustomize', [CompletionResultType]::ParameterName, 'A folder with a kustomization, built with `kubectl kustomize`')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'The namespace of objects that name none')
            [CompletionResult]::new('--namespace', '--namespace', [CompletionResultType]::ParameterName, 'The namespace of objects that name none')
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Enrol only this namespace')
            [CompletionResult]::new('--exclude', '--exclude', [CompletionResultType]::ParameterName, 'Do not enrol this namespace')
            [CompletionResult]::new('--waypoint', '--waypoint', [CompletionResultType]::ParameterName, 'Plan with a waypoint for a namespace, or for all that are enrolled')
            [CompletionResult]::new('--cni', '--cni', [CompletionResultType]::ParameterName, 'The network plugin; `auto` looks for it in the manifests')
            [CompletionResult]::new('--pod-cidr', '--pod-cidr', [CompletionResultType]::ParameterName, 'A range that pods get their addresses from; the private ranges when none is given')
            [CompletionResult]::new('--authz', '--authz', [CompletionResultType]::ParameterName, 'How port limits are kept inside the tunnel')
            [CompletionResult]::new('--strategy', '--strategy', [CompletionResultType]::ParameterName, 'How policies that exist are changed')
            [CompletionResult]::new('--accept', '--accept', [CompletionResultType]::ParameterName, 'Accept a finding by its id, all findings of a code, or `all`')
            [CompletionResult]::new('--fail-on', '--fail-on', [CompletionResultType]::ParameterName, 'The severity from which findings fail the run')
            [CompletionResult]::new('--output-dir', '--output-dir', [CompletionResultType]::ParameterName, 'Write the changed files into this folder instead')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Whether to check everything, but write nothing')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Output format')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Output format')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'Read folders with everything below them')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'Read folders with everything below them')
            [CompletionResult]::new('--enroll', '--enroll', [CompletionResultType]::ParameterName, 'Write the enrolment labels too; else they are listed as a step of their own')
            [CompletionResult]::new('--diff', '--diff', [CompletionResultType]::ParameterName, 'Show the diff of the files as well')
            [CompletionResult]::new('--write', '--write', [CompletionResultType]::ParameterName, 'Change the files in place, if no finding stands against it')
            [CompletionResult]::new('--keep-going', '--keep-going', [CompletionResultType]::ParameterName, 'With `--write`: write although some of the input cannot be used')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-ambient;migrate;diff' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'A file or folder of manifests, or `-` for standard input')
            [CompletionResult]::new('--filename', '--filename', [CompletionResultType]::ParameterName, 'A file or folder of manifests, or `-` for standard input')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'A folder with a kustomization, built with `kubectl kustomize`')
            [CompletionResult]::new('--kustomize', '--kustomize', [CompletionResultType]::ParameterName, 'A folder with a kustomization, built with `kubectl kustomize`')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'The namespace of objects that name none')
            [CompletionResult]::new('--namespace', '--namespace', [CompletionResultType]::ParameterName, 'The namespace of objects that name none')
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Enrol only this namespace')
            [CompletionResult]::new('--exclude', '--exclude', [CompletionResultType]::ParameterName, 'Do not enrol this namespace')
            [CompletionResult]::new('--waypoint', '--waypoint', [CompletionResultType]::ParameterName, 'Plan with a waypoint for a namespace, or for all that are enrolled')
            [CompletionResult]::new('--cni', '--cni', [CompletionResultType]::ParameterName, 'The network plugin; `auto` looks for it in the manifests')
            [CompletionResult]::new('--pod-cidr', '--pod-cidr', [CompletionResultType]::ParameterName, 'A range that pods get their addresses from; the private ranges when none is given')
            [CompletionResult]::new('--authz', '--authz', [CompletionResultType]::ParameterName, 'How port limits are kept inside the tunnel')
            [CompletionResult]::new('--strategy', '--strategy', [CompletionResultType]::ParameterName, 'How policies that exist are changed')
            [CompletionResult]::new('--accept', '--accept', [CompletionResultType]::ParameterName, 'Accept a finding by its id, all findings of a code, or `all`')
            [CompletionResult]::new('--fail-on', '--fail-on', [CompletionResultType]::ParameterName, 'The severity from which findings fail the run')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'Read folders with everything below them')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'Read folders with everything below them')
            [CompletionResult]::new('--enroll', '--enroll', [CompletionResultType]::ParameterName, 'Write the enrolment labels too; else they are listed as a step of their own')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-ambient;policy' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List who may connect to whom')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Explain why one workload may connect to another, or may not')
            [CompletionResult]::new('diff', 'diff', [CompletionResultType]::ParameterValue, 'Compare the connections of two folders or files')
            break
        }
        'kubectl-ambient;policy;list' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'A file or folder of manifests, or `-` for standard input')
            [CompletionResult]::new('--filename', '--filename', [CompletionResultType]::ParameterName, 'A file or folder of manifests, or `-` for standard input')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'A folder with a kustomization, built with `kubectl kustomize`')
            [CompletionResult]::new('--kustomize', '--kustomize', [CompletionResultType]::ParameterName, 'A folder with a kustomization, built with `kubectl kustomize`')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'The namespace of objects that name none')
            [CompletionResult]::new('--namespace', '--namespace', [CompletionResultType]::ParameterName, 'The namespace of objects that name none')
            [CompletionResult]::new('--mode', '--mode', [CompletionResultType]::ParameterName, 'Which connections')
            [CompletionResult]::new('--pod-cidr', '--pod-cidr', [CompletionResultType]::ParameterName, 'A range that pods get their addresses from; the private ranges when none is given')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Output format')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Output format')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'Read folders with everything below them')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'Read folders with everything below them')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-ambient;policy;explain' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'A file or folder of manifests, or `-` for standard input')
            [CompletionResult]::new('--filename', '--filename', [CompletionResultType]::ParameterName, 'A file or folder of manifests, or `-` for standard input')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'A folder with a kustomization, built with `kubectl kustomize`')
            [CompletionResult]::new('--kustomize', '--kustomize', [CompletionResultType]::ParameterName, 'A folder with a kustomization, built with `kubectl kustomize`')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'The namespace of objects that name none')
            [CompletionResult]::new('--namespace', '--namespace', [CompletionResultType]::ParameterName, 'The namespace of objects that name none')
            [CompletionResult]::new('--mode', '--mode', [CompletionResultType]::ParameterName, 'Which connections')
            [CompletionResult]::new('--pod-cidr', '--pod-cidr', [CompletionResultType]::ParameterName, 'A range that pods get their addresses from; the private ranges when none is given')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Output format')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Output format')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'Read folders with everything below them')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'Read folders with everything below them')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-ambient;policy;diff' {
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'The namespace of objects that name none')
            [CompletionResult]::new('--namespace', '--namespace', [CompletionResultType]::ParameterName, 'The namespace of objects that name none')
            [CompletionResult]::new('--mode', '--mode', [CompletionResultType]::ParameterName, 'Which connections')
            [CompletionResult]::new('--pod-cidr', '--pod-cidr', [CompletionResultType]::ParameterName, 'A range that pods get their addresses from; the private ranges when none is given')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Output format')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Output format')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'Read folders with everything below them')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'Read folders with everything below them')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-ambient;diagnose' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Who to probe, as `HOST` or `HOST:PORT`; the tunnel''s port when left out (repeatable)')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'A file with addresses, a line each, or `-` for standard input (repeatable)')
            [CompletionResult]::new('--filename', '--filename', [CompletionResultType]::ParameterName, 'A file with addresses, a line each, or `-` for standard input (repeatable)')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'The certificate to show, with its chain (PEM)')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The key of the certificate (PEM)')
            [CompletionResult]::new('--root', '--root', [CompletionResultType]::ParameterName, 'Roots that the peer''s certificate has to lead to (PEM); any certificate is taken without')
            [CompletionResult]::new('--expect-identity', '--expect-identity', [CompletionResultType]::ParameterName, 'The identity that the peer has to have')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Where to be connected to through the tunnel; without it the probe ends after HTTP/2')
            [CompletionResult]::new('--size', '--size', [CompletionResultType]::ParameterName, 'Octets to send through the tunnel, one size after the other; nothing is sent without')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'The longest time of each step: a probe ends within that of all of them together')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'How often to probe each address')
            [CompletionResult]::new('--interval', '--interval', [CompletionResultType]::ParameterName, 'The time from one probe of an address to the next; each address has its own pace')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Output format')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Output format')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--watch', '--watch', [CompletionResultType]::ParameterName, 'Go on probing, and show what changes, until interrupted')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-ambient;demo' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--once', '--once', [CompletionResultType]::ParameterName, 'End after the checks, instead of with Ctrl-C')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-ambient;explain' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-ambient;completion' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-ambient;version' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Output format')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Output format')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-ambient;options' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-ambient;help' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
