//! What is known to differ: three lists, each entry with its reason.

/// Transcripts that are not yet equal. An entry that has become equal has to go, and no more than [`NOT_YET_MOST`] stay.
pub(crate) const NOT_YET: &[(&str, &str)] = &[
    (
        "204-watch-init-fail",
        "each run of the init container is seen here, and its first failure may be overtaken by the next",
    ),
    (
        "208-watch-sidecar",
        "main starts as soon as the sidecar runs, there up to a second later: PodInitializing is not seen",
    ),
    ("230-describe-badimage", LAG),
    ("231-yaml-badimage", LAG),
    ("235-logs-badimage", LAG),
    ("252-describe-crash-late", LAG),
    ("253-describe-badimage-late", LAG),
    (
        "254-describe-liveness-exec-late",
        "after three restarts for a failed probe the waits are counted otherwise there",
    ),
    ("496-pvc-get-bound", LAG),
    ("497-pvc-pod-describe-bound", LAG),
    ("498-pvc-pod-yaml", LAG),
    ("520-describe-badcommand", LAG),
    ("520-describe-hooks", "a back-off is told once, there each time something happens to the Pod"),
    ("521-status-badcommand", LAG),
    ("521-status-hooks", "a back-off is told once, there each time something happens to the Pod"),
];

const LAG: &str =
    "there a status tells of the look at the Pod before: it shows how a container ended for 10 to 15 s, here for one";

/// How many may differ.
pub(crate) const NOT_YET_MOST: usize = 25;

/// Transcripts that the built-in kubectl does not answer as the real one does.
pub(crate) const BUILT_IN: &[(&str, &str)] = &[];

/// How many of those there may be.
pub(crate) const BUILT_IN_MOST: usize = 15;

/// Something the reference's cluster was made with and ours is not; replaced on both sides before they are compared.
pub(crate) struct SetUp {
    pub(crate) why: &'static str,
    /// Beginnings of names; of all transcripts when there are none.
    pub(crate) goldens: &'static [&'static str],
    pub(crate) pattern: &'static str,
    pub(crate) replacement: &'static str,
}

const fn set_up(
    why: &'static str,
    goldens: &'static [&'static str],
    pattern: &'static str,
    replacement: &'static str,
) -> SetUp {
    SetUp { why, goldens, pattern, replacement }
}

pub(crate) const SET_UP: &[SetUp] = &[
    set_up("kubectl cp does not wait for the last words of tar", &["448"], r"tar: |[Rr]emoving leading .*\n", ""),
    set_up("when script(1) prints the end of its input", &["408"], r"\x00|\^@", ""),
    // The machine and what runs it.
    set_up("another build of kubectl", &["001", "002"], r"v1\.32\.\d+(?:-dispatcher)?\b", "v1.32"),
    set_up(
        "another build of kubectl",
        &["002"],
        r#"(?s)"minor": "32\+?",.*?"kustomizeVersion""#,
        r#""kustomizeVersion""#,
    ),
    set_up(
        "this server is not built by Go",
        &["002", "383"],
        r#""(gitCommit|goVersion|compiler|buildDate)": "[^"]*""#,
        r#""$1": "…""#,
    ),
    set_up("another runtime", &[], r"\b(?:containerd|podlab)://(?:[01]\.\d+\.\d+)?", "runtime://"),
    set_up("another kernel", &["008", "009"], r"\b\d+\.\d+\.\d+-[\w.-]+", "<kernel>"),
    set_up("another machine", &["009"], r"(Machine ID|System UUID): +\S+", "$1: <id>"),
    set_up("another machine", &["009"], r"(?m)^  (cpu|memory|ephemeral-storage): +\d+(Ki)?$", "  $1: <n>$2"),
    set_up("another host's name", &["085"], r"default-scheduler-\S+", "default-scheduler-vm"),
    set_up("another cluster's name", &["379"], r"\b(?:ref|podlab|admin)\b", "cluster"),
    set_up("another cluster's name", &["380"], r"(?m)^(CURRENT|\*) +\S+ +\S+ +\S+(?: +| +NAMESPACE)$", "$1 …"),
    set_up("another address", &["381", "563"], r"10\.99\.0\.1:6443", "127.0.0.1:6443"),
    set_up("another disk", &["446", "482"], r"/dev/\S+ on (\S+) type \S+ \(.*\)", "disk on $1"),
    set_up("another kernel", &["410", "427", "429"], r"OS: Linux \S+", "OS: Linux"),
    set_up("paths of cgroups in the host", &["472"], r"(?m)^(\d+:[^:]*:)/.*$", "$1<path>"),
    set_up("another name of the sandbox", &["082"], r#"to pod \S+, uid ?\S*:"#, "to pod:"),
    set_up("another name of the sandbox", &["082"], r#"netns/[\w-]+"#, "netns/<id>"),
    set_up("another name of the sandbox", &["082"], r#"inside namespace \\"[\w-]+\\""#, "inside namespace <id>"),
    set_up("all tags of an image name the same there", &["498"], "busybox:(?:1.35|latest)", "busybox"),
    set_up("another message of the flag's parser", &["396"], "Error: unknown", "error: unknown"),
    set_up("no flow control here", &["580"], r"(?m)^x-kubernetes-pf-.*\n", ""),
    // The stand-ins for images that are no longer there.
    set_up("another kuard", &[], r"kuard version: \S+", "kuard version: 1"),
    set_up("another kuard", &["464", "465"], r"(?m)^.* (?:GET|PUT) /.*\n", ""),
    set_up("another kuard", &["080"], r"(?s)(HTTP/1.1 200 OK).*</html>", "$1"),
    set_up(
        "kuard was pulled there; here it is built in",
        &["08"],
        "(?m)^.*Pulling image \"gcr.io/kuar-demo/kuard-amd64:1\".*\\n",
        "",
    ),
    set_up(
        "kuard was pulled there; here it is built in",
        &["08"],
        r"Successfully pulled image (\S+) in \S+ \(\S+ including waiting\)\. Image size: \d+ bytes\.",
        "Container image $1 already present on machine",
    ),
    // The moment.
    set_up("how many processes there were before", &["073", "431", "537"], r"(?m)^ *\d+ ((?:\w+ +)?)", "<pid> $1"),
    set_up("how many processes there were before", &["410", "427", "429"], r"worker process \d+", "worker process"),
    set_up("a time as seconds", &["428", "429"], r"watching \d+", "watching"),
    set_up("the age of a table without headings", &["046", "473"], r"(?m)\d+[smh](?:\d+s)?$", "<age>"),
    set_up("how long the processor was used", &["535"], r"(?m)^(nr_\w+|throttled_time) \d+$", "$1 <n>"),
    set_up(
        "the Pods had not started there",
        &["331", "332", "333"],
        r"0/1     ContainerCreating",
        "1/1     Running          ",
    ),
    set_up("how large a document is that has kinds we have not", &["386", "388"], r"^\d+", "<n>"),
    set_up("the shell's own words", &["082"], r"bash: line \d+: kill: \(\d+\)", "bash: kill:"),
    set_up("what was typed before the shell was there is echoed twice", &["111"], r"(?s)^.*?BusyBox", "BusyBox"),
    set_up("a shell with nothing to read asks where the cursor is", &["111"], "\x1b\\[6n", ""),
    set_up("an age in a cell", &["561"], r#""\d+[smh](?:\d+s)?""#, r#""<age>""#),
    set_up("kubectl cp does not wait for the last words of tar", &["075", "077"], r"(?m)^tar: .*\n", ""),
    set_up(
        "how long a program that fails at once was seen to run",
        &["201", "207"],
        r"(?m)^\w+ +1/1 +Running .*\n",
        "",
    ),
    set_up(
        "how often the scheduler had looked again",
        &["230-describe-pvc", "230-describe-toobig", "497"],
        r"(?m)(^  Warning +FailedScheduling .*\n)(?:  Warning +FailedScheduling .*\n)+",
        "$1",
    ),
    // What there is only there, or only here.
    set_up("kinds that are not here", &["376", "378"], KINDS, ""),
    set_up("kinds that are not here", &["377"], GROUPS, ""),
    set_up("kinds that are only here", &["376", "377"], r"(?m)^.*metrics\.k8s\.io/v1beta1.*\n", ""),
    set_up("parts that are not here", &["385"], r"(?m)^\[\+\](?:poststarthook/|informer-sync|autoregister).*\n", ""),
    set_up("parts that are only here", &["385"], r"(?m)^\[\+\]store ok\n", ""),
    set_up("groups that are not here", &["382"], RAW_GROUPS, ""),
    set_up("paths that are not here", &["387"], DOCUMENTS, ""),
    set_up("groups that are not here", &["382", "387"], r"([\[{]),", "$1"),
    set_up("resources that are not here", &["389"], RAW_RESOURCES, ""),
    set_up("resources that are not here", &["562"], AGGREGATED, ""),
    set_up("paths that are not here", &["390"], PATHS, ""),
    set_up("no metrics server there", &["088", "089"], r"(?s)^.*$", ""),
];

/// Lines of `kubectl api-resources` that tell of kinds that Podlab does not have.
const KINDS: &str = concat!(
    r"(?m)^(?:componentstatuses|replicationcontrollers|controllerrevisions|daemonsets|statefulsets|csi\w+|volumeattachments)",
    r" .*\n|^.* (?:admissionregistration\.k8s\.io|apiextensions\.k8s\.io|apiregistration\.k8s\.io|autoscaling|batch",
    r"|certificates\.k8s\.io|flowcontrol\.apiserver\.k8s\.io|networking\.k8s\.io|node\.k8s\.io|policy",
    r"|rbac\.authorization\.k8s\.io)/v\d .*\n"
);

const GROUPS: &str = concat!(
    r"(?m)^(?:admissionregistration\.k8s\.io|apiextensions\.k8s\.io|apiregistration\.k8s\.io|autoscaling|batch",
    r"|certificates\.k8s\.io|flowcontrol\.apiserver\.k8s\.io|networking\.k8s\.io|node\.k8s\.io|policy",
    r"|rbac\.authorization\.k8s\.io)/v\d\n"
);

/// Items of `/apis`.
const RAW_GROUPS: &str = concat!(
    r#",?\{"name":"(?:admissionregistration\.k8s\.io|apiextensions\.k8s\.io|apiregistration\.k8s\.io|autoscaling|batch"#,
    r#"|certificates\.k8s\.io|flowcontrol\.apiserver\.k8s\.io|networking\.k8s\.io|node\.k8s\.io|policy"#,
    r#"|rbac\.authorization\.k8s\.io|metrics\.k8s\.io)","versions":\[[^\]]*\],"preferredVersion":\{[^}]*\}\}"#
);

/// Items of `/api/v1`.
const RAW_RESOURCES: &str = r#"\{"name":"(?:componentstatuses|replicationcontrollers)[^}]*\},"#;

/// The same, indented, in aggregated discovery.
const AGGREGATED: &str = r#"(?ms)^            \{\n              "resource": "(?:componentstatuses|replicationcontrollers)".*?^            \},\n"#;

/// Entries of `/openapi/v3`: what is not of a group and version that Podlab has, and metrics.
const DOCUMENTS: &str = concat!(
    r#",?"(?:\.well-known/openid-configuration|api|apis|apis/[^/"]+|openid/v1/jwks|logs|version|healthz|livez|readyz"#,
    r#"|apis/(?:admissionregistration\.k8s\.io|apiextensions\.k8s\.io|apiregistration\.k8s\.io|autoscaling|batch"#,
    r#"|certificates\.k8s\.io|flowcontrol\.apiserver\.k8s\.io|networking\.k8s\.io|node\.k8s\.io|policy"#,
    r#"|rbac\.authorization\.k8s\.io|metrics\.k8s\.io)/v\w+)":\{[^}]*\}"#
);

/// Lines of `/`: the same, and single checks of health.
const PATHS: &str = concat!(
    r#"(?m)^    "/(?:\.well-known.*|(?:healthz|livez|readyz)/.*|openapi/v2|openid/.*|logs|metrics|metrics/.*|debug/.*"#,
    r#"|apis/(?:admissionregistration\.k8s\.io|apiextensions\.k8s\.io|apiregistration\.k8s\.io|autoscaling|batch"#,
    r#"|certificates\.k8s\.io|flowcontrol\.apiserver\.k8s\.io|networking\.k8s\.io|node\.k8s\.io|policy"#,
    r#"|rbac\.authorization\.k8s\.io|metrics\.k8s\.io)(?:/v\w+)?)",?\n"#
);

const SECONDS: &str = "kubectl sorts events by whole seconds, and in no order of their own within one";

/// Transcripts whose lines have no order of their own; of a description, those behind `Events:`.
pub(crate) const UNORDERED: &[(&str, &str)] = &[
    ("239-logs-init-all", "kubectl reads the containers' logs in the order of a hash map"),
    ("429-pods02-logs-all", "kubectl reads the containers' logs in the order of a hash map"),
    ("463-health-describe-after", SECONDS),
    ("230-describe-crash", SECONDS),
    ("230-describe-init-fail", SECONDS),
    ("230-describe-liveness-exec", SECONDS),
    ("478-reslim-oom-describe", SECONDS),
    ("520-describe-nonroot", SECONDS),
    ("086-events-cmd", SECONDS),
    ("087-events-for", SECONDS),
    ("560-http-table-pods", "the fields of JSON objects"),
    ("561-http-table-watch", "the fields of JSON objects"),
    ("575-http-delete-pod", "the fields of JSON objects"),
    ("579-http-bookmarks", "the fields of JSON objects"),
];

/// Transcripts of commands that need what another issue builds: the beginning of their names, and what is missing.
pub(crate) const ABSENT: &[(&str, &str)] = &[
    ("115-", "several nodes"),
    ("116-", "several nodes"),
    ("117-", "several nodes"),
    ("12", "a node whose kubelet is stopped"),
    ("215-", "the manifests of four of its Pods were not recorded"),
    ("260-", "the manifests of four of its Pods were not recorded"),
    ("261-", "the manifests of four of its Pods were not recorded"),
    ("263-", "the manifests of four of its Pods were not recorded"),
    ("548-", "the manifests of ten of its Pods were not recorded"),
    ("560-", "the manifest of its second Pod was not recorded"),
    ("258-", "a node that can mount no file server"),
    ("259-", "a node that can mount no file server"),
];
