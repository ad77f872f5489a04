//! How the server's internal types are built: names and order of fields (k8s.io/kubernetes/pkg/apis/core/types.go).

use serde_json::{Value, json};

/// The type of a field, as far as printing needs it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    Text,
    Number,
    Boolean,
    /// Text to text, or resources to quantities.
    Map,
    Struct(&'static str),
    List(Box<Type>),
    Pointer(Box<Type>),
}

/// A field of a struct.
pub(super) struct Field {
    pub go_name: String,
    json_name: String,
    pub kind: Type,
    /// Go embeds the struct; in JSON its fields are the outer one's.
    embedded: bool,
}

/// `NAME FIELD:TYPE …`. Types: `s` text, `n` number, `b` boolean, `m` map; `[]` and `*` before a type; `^` embeds.
/// Structs that do not stand here are printed without their fields.
const STRUCTS: &[&str] = &[
    "PodSpec Volumes:[]Volume InitContainers:[]Container Containers:[]Container \
     EphemeralContainers:[]EphemeralContainer RestartPolicy:s TerminationGracePeriodSeconds:*n \
     ActiveDeadlineSeconds:*n DNSPolicy:s NodeSelector:m ServiceAccountName:s AutomountServiceAccountToken:*n \
     NodeName:s SecurityContext:*PodSecurityContext ImagePullSecrets:[]LocalObjectReference Hostname:s Subdomain:s \
     SetHostnameAsFQDN:*n Affinity:*Affinity SchedulerName:s Tolerations:[]Toleration HostAliases:[]HostAlias \
     PriorityClassName:s Priority:*n PreemptionPolicy:*s DNSConfig:*PodDNSConfig ReadinessGates:[]PodReadinessGate \
     RuntimeClassName:*s Overhead:m EnableServiceLinks:*n TopologySpreadConstraints:[]TopologySpreadConstraint \
     OS:*PodOS SchedulingGates:[]PodSchedulingGate ResourceClaims:[]PodResourceClaim Resources:*ResourceRequirements",
    "PodSecurityContext HostNetwork:b HostPID:b HostIPC:b ShareProcessNamespace:*n HostUsers:*n \
     SELinuxOptions:*SELinuxOptions WindowsOptions:*WindowsSecurityContextOptions RunAsUser:*n RunAsGroup:*n \
     RunAsNonRoot:*n SupplementalGroups:[]n SupplementalGroupsPolicy:*s FSGroup:*n FSGroupChangePolicy:*s \
     Sysctls:[]Sysctl SeccompProfile:*SeccompProfile AppArmorProfile:*AppArmorProfile SELinuxChangePolicy:*s",
    "Container Name:s Image:s Command:[]s Args:[]s WorkingDir:s Ports:[]ContainerPort EnvFrom:[]EnvFromSource \
     Env:[]EnvVar Resources:ResourceRequirements ResizePolicy:[]ContainerResizePolicy RestartPolicy:*s \
     VolumeMounts:[]VolumeMount VolumeDevices:[]VolumeDevice LivenessProbe:*Probe ReadinessProbe:*Probe \
     StartupProbe:*Probe Lifecycle:*Lifecycle TerminationMessagePath:s TerminationMessagePolicy:s ImagePullPolicy:s \
     SecurityContext:*SecurityContext Stdin:b StdinOnce:b TTY:b",
    "ContainerPort Name:s HostPort:n ContainerPort:n Protocol:s HostIP:s",
    "EnvFromSource Prefix:s ConfigMapRef:*ConfigMapEnvSource SecretRef:*SecretEnvSource",
    "ConfigMapEnvSource ^LocalObjectReference Optional:*n",
    "SecretEnvSource ^LocalObjectReference Optional:*n",
    "EnvVar Name:s Value:s ValueFrom:*EnvVarSource",
    "EnvVarSource FieldRef:*ObjectFieldSelector ResourceFieldRef:*ResourceFieldSelector \
     ConfigMapKeyRef:*ConfigMapKeySelector SecretKeyRef:*SecretKeySelector",
    "ObjectFieldSelector APIVersion:s FieldPath:s",
    "ResourceFieldSelector ContainerName:s Resource:s",
    "ConfigMapKeySelector ^LocalObjectReference Key:s Optional:*n",
    "SecretKeySelector ^LocalObjectReference Key:s Optional:*n",
    "LocalObjectReference Name:s",
    "ResourceRequirements Limits:m Requests:m",
    "VolumeMount Name:s ReadOnly:b RecursiveReadOnly:*s MountPath:s SubPath:s MountPropagation:*s SubPathExpr:s",
    "VolumeDevice Name:s DevicePath:s",
    "Probe ^ProbeHandler InitialDelaySeconds:n TimeoutSeconds:n PeriodSeconds:n SuccessThreshold:n \
     FailureThreshold:n TerminationGracePeriodSeconds:*n",
    "ProbeHandler Exec:*ExecAction HTTPGet:*HTTPGetAction TCPSocket:*TCPSocketAction GRPC:*GRPCAction",
    "Lifecycle PostStart:*LifecycleHandler PreStop:*LifecycleHandler",
    "LifecycleHandler Exec:*ExecAction HTTPGet:*HTTPGetAction TCPSocket:*TCPSocketAction Sleep:*SleepAction",
    "ExecAction Command:[]s",
    "HTTPGetAction Path:s Port:s Host:s Scheme:s HTTPHeaders:[]HTTPHeader",
    "HTTPHeader Name:s Value:s",
    "TCPSocketAction Port:s Host:s",
    "GRPCAction Port:n Service:*s",
    "SleepAction Seconds:n",
    "SecurityContext Capabilities:*Capabilities Privileged:*n SELinuxOptions:*SELinuxOptions \
     WindowsOptions:*WindowsSecurityContextOptions RunAsUser:*n RunAsGroup:*n RunAsNonRoot:*n \
     ReadOnlyRootFilesystem:*n AllowPrivilegeEscalation:*n ProcMount:*s SeccompProfile:*SeccompProfile \
     AppArmorProfile:*AppArmorProfile",
    "Capabilities Add:[]s Drop:[]s",
    "SeccompProfile Type:s LocalhostProfile:*s",
    "AppArmorProfile Type:s LocalhostProfile:*s",
    "Volume Name:s ^VolumeSource",
    "VolumeSource HostPath:*HostPathVolumeSource EmptyDir:*EmptyDirVolumeSource Secret:*SecretVolumeSource \
     NFS:*NFSVolumeSource PersistentVolumeClaim:*PersistentVolumeClaimVolumeSource \
     DownwardAPI:*DownwardAPIVolumeSource ConfigMap:*ConfigMapVolumeSource Projected:*ProjectedVolumeSource",
    "HostPathVolumeSource Path:s Type:*s",
    "EmptyDirVolumeSource Medium:s SizeLimit:*s",
    "SecretVolumeSource SecretName:s Items:[]KeyToPath DefaultMode:*n Optional:*n",
    "NFSVolumeSource Server:s Path:s ReadOnly:b",
    "PersistentVolumeClaimVolumeSource ClaimName:s ReadOnly:b",
    "DownwardAPIVolumeSource Items:[]DownwardAPIVolumeFile DefaultMode:*n",
    "DownwardAPIVolumeFile Path:s FieldRef:*ObjectFieldSelector ResourceFieldRef:*ResourceFieldSelector Mode:*n",
    "ConfigMapVolumeSource ^LocalObjectReference Items:[]KeyToPath DefaultMode:*n Optional:*n",
    "KeyToPath Key:s Path:s Mode:*n",
    "ProjectedVolumeSource Sources:[]VolumeProjection DefaultMode:*n",
    "VolumeProjection Secret:*SecretProjection DownwardAPI:*DownwardAPIProjection ConfigMap:*ConfigMapProjection \
     ServiceAccountToken:*ServiceAccountTokenProjection",
    "SecretProjection ^LocalObjectReference Items:[]KeyToPath Optional:*n",
    "DownwardAPIProjection Items:[]DownwardAPIVolumeFile",
    "ConfigMapProjection ^LocalObjectReference Items:[]KeyToPath Optional:*n",
    "ServiceAccountTokenProjection Audience:s ExpirationSeconds:n Path:s",
    "Toleration Key:s Operator:s Value:s Effect:s TolerationSeconds:*n",
    "HostAlias IP:s Hostnames:[]s",
    "PodDNSConfig Nameservers:[]s Searches:[]s Options:[]PodDNSConfigOption",
    "PodDNSConfigOption Name:s Value:*s",
    "PodReadinessGate ConditionType:s",
    "PodSchedulingGate Name:s",
    "Sysctl Name:s Value:s",
    "SELinuxOptions User:s Role:s Type:s Level:s",
    "PodOS Name:s",
];

/// The fields of a struct, in their order.
pub(super) fn fields(name: &str) -> Vec<Field> {
    let row = STRUCTS.iter().find_map(|row| row.strip_prefix(name)?.strip_prefix(' '));
    row.into_iter().flat_map(|row| row.split_ascii_whitespace()).map(field).collect()
}

fn field(text: &'static str) -> Field {
    if let Some(name) = text.strip_prefix('^') {
        return Field { go_name: name.to_owned(), json_name: String::new(), kind: Type::Struct(name), embedded: true };
    }
    let (name, kind) = text.split_once(':').unwrap_or((text, "s"));
    Field { go_name: name.to_owned(), json_name: json_name(name), kind: kind_of(kind), embedded: false }
}

fn kind_of(text: &'static str) -> Type {
    if let Some(item) = text.strip_prefix("[]") {
        return Type::List(Box::new(kind_of(item)));
    }
    if let Some(inner) = text.strip_prefix('*') {
        return Type::Pointer(Box::new(kind_of(inner)));
    }
    match text {
        "s" => Type::Text,
        "n" => Type::Number,
        "b" => Type::Boolean,
        "m" => Type::Map,
        name => Type::Struct(name),
    }
}

/// `DNSPolicy` is `dnsPolicy`: an abbreviation in front is lowered as one.
fn json_name(go_name: &str) -> String {
    let capitals = go_name.chars().take_while(char::is_ascii_uppercase).count();
    let lowered = if capitals > 1 && capitals < go_name.len() { capitals - 1 } else { capitals };
    let (head, tail) = go_name.split_at(lowered);
    head.to_ascii_lowercase() + tail
}

impl Field {
    /// The field's value in the struct's JSON.
    pub(super) fn of(&self, object: &Value) -> Option<Value> {
        if !self.embedded {
            return object.get(&self.json_name).filter(|value| !value.is_null()).cloned();
        }
        let Type::Struct(name) = self.kind else { return None };
        let parts = fields(name).into_iter().filter_map(|field| Some((field.json_name.clone(), field.of(object)?)));
        Some(Value::Object(parts.collect()))
    }
}

impl Type {
    /// The name as Go prints it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Text => "string".to_owned(),
            Self::Number => "int64".to_owned(),
            Self::Boolean => "bool".to_owned(),
            Self::Map => "map[string]string".to_owned(),
            Self::Struct(name) => format!("core.{name}"),
            Self::List(item) => format!("[]{}", item.name()),
            Self::Pointer(inner) => format!("*{}", inner.name()),
        }
    }

    /// What Go prints for a value that was never set.
    pub(super) fn zero(&self) -> String {
        match self {
            Self::Text => "\"\"",
            Self::Number => "0",
            Self::Boolean => "false",
            Self::Struct(_) => "{}",
            Self::Map | Self::List(_) | Self::Pointer(_) => "nil",
        }
        .to_owned()
    }

    /// Whether Go would hold nothing for this JSON.
    pub(super) fn is_zero(&self, value: &Value) -> bool {
        match self {
            Self::Text => *value == json!(""),
            Self::Number => *value == json!(0),
            Self::Boolean => *value == json!(false),
            Self::Map | Self::List(_) => {
                value.as_object().is_some_and(serde_json::Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
            }
            Self::Struct(_) => value.as_object().is_some_and(serde_json::Map::is_empty),
            Self::Pointer(_) => value.is_null(),
        }
    }
}

/// A text in quotes, as Go quotes it.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abbreviations_are_lowered_as_one() {
        let names = ["DNSPolicy", "HostIP", "TTY", "FSGroup", "SELinuxOptions", "HTTPGet", "OS", "Name", "APIVersion"];
        let expected =
            ["dnsPolicy", "hostIP", "tty", "fsGroup", "seLinuxOptions", "httpGet", "os", "name", "apiVersion"];
        assert_eq!(names.map(json_name), expected.map(str::to_owned));
    }
}
