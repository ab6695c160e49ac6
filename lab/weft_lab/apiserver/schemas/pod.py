"""Defines Pod: placement and status."""

TEXT = """
= io.k8s.api.core.v1
Pod | Containers that run together on one node, with one network.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec PodSpec | What is to run.
  status PodStatus | What runs, as the node saw it last.
PodSpec | What a pod is to run, and where.
  volumes [Volume] key=name retain | Folders that containers can mount.
  initContainers [Container] key=name | Run one after the other, to their end, before the rest.
  containers! [Container] key=name | At least one; cannot be added or removed later.
  ephemeralContainers [EphemeralContainer] key=name | Added to a running pod to look into it.
  restartPolicy string enum=Always,Never,OnFailure | Always, OnFailure or Never.
  terminationGracePeriodSeconds int | How long the pod may take to end by itself; default 30.
  activeDeadlineSeconds int | The pod fails when it ran longer.
  dnsPolicy string enum=ClusterFirst,ClusterFirstWithHostNet,Default,None
  nodeSelector {string} atomicmap | Labels that the node must have.
  serviceAccountName string
  serviceAccount string
  automountServiceAccountToken bool
  nodeName string | The node that runs the pod; set by the scheduler.
  hostNetwork bool | Use the node's own network.
  hostPID bool
  hostIPC bool
  hostUsers bool
  shareProcessNamespace bool
  securityContext PodSecurityContext
  imagePullSecrets [LocalObjectReference] key=name
  hostname string
  subdomain string
  setHostnameAsFQDN bool
  hostnameOverride string
  affinity Affinity
  schedulerName string
  tolerations [Toleration] atomic
  hostAliases [HostAlias] key=ip
  priorityClassName string
  priority int32
  dnsConfig PodDNSConfig
  readinessGates [PodReadinessGate] atomic
  runtimeClassName string
  enableServiceLinks bool
  preemptionPolicy string enum=Never,PreemptLowerPriority
  overhead {Quantity}
  topologySpreadConstraints [TopologySpreadConstraint] key=topologyKey and=whenUnsatisfiable
  os PodOS
  schedulingGates [PodSchedulingGate] key=name
  resourceClaims [PodResourceClaim] key=name retain
  resources ResourceRequirements
  schedulingGroup PodSchedulingGroup
PodDNSConfig
  nameservers [string] atomic
  searches [string] atomic
  options [PodDNSConfigOption] atomic
PodDNSConfigOption
  name string
  value string
PodOS
  name! string
PodSchedulingGate
  name! string
PodResourceClaim
  name! string
  resourceClaimName string
  resourceClaimTemplateName string
PodReadinessGate
  conditionType! string
HostAlias
  ip! string
  hostnames [string] atomic
LocalObjectReference atomic
  name string
Toleration | Lets the pod run on a node in spite of a taint.
  key string
  operator string enum=Equal,Exists,Gt,Lt
  value string
  effect string enum=NoExecute,NoSchedule,PreferNoSchedule
  tolerationSeconds int
TopologySpreadConstraint
  maxSkew! int32
  topologyKey! string
  whenUnsatisfiable! string enum=DoNotSchedule,ScheduleAnyway
  labelSelector LabelSelector
  minDomains int32
  nodeAffinityPolicy string enum=Honor,Ignore
  nodeTaintsPolicy string enum=Honor,Ignore
  matchLabelKeys [string] atomic
Affinity | Rules about which node, beside which pods.
  nodeAffinity NodeAffinity
  podAffinity PodAffinity
  podAntiAffinity PodAntiAffinity
NodeAffinity
  requiredDuringSchedulingIgnoredDuringExecution NodeSelector
  preferredDuringSchedulingIgnoredDuringExecution [PreferredSchedulingTerm] atomic
NodeSelector atomic
  nodeSelectorTerms! [NodeSelectorTerm] atomic
NodeSelectorTerm atomic
  matchExpressions [NodeSelectorRequirement] atomic
  matchFields [NodeSelectorRequirement] atomic
NodeSelectorRequirement
  key! string
  operator! string enum=DoesNotExist,Exists,Gt,In,Lt,NotIn
  values [string] atomic
PreferredSchedulingTerm
  weight! int32
  preference! NodeSelectorTerm
PodAffinity
  requiredDuringSchedulingIgnoredDuringExecution [PodAffinityTerm] atomic
  preferredDuringSchedulingIgnoredDuringExecution [WeightedPodAffinityTerm] atomic
WeightedPodAffinityTerm
  weight! int32
  podAffinityTerm! PodAffinityTerm
PodAffinityTerm
  labelSelector LabelSelector
  namespaces [string] atomic
  topologyKey! string
  namespaceSelector LabelSelector
  matchLabelKeys [string] atomic
  mismatchLabelKeys [string] atomic
PodSecurityContext
  seLinuxOptions SELinuxOptions
  windowsOptions WindowsSecurityContextOptions
  runAsUser int
  runAsGroup int
  runAsNonRoot bool
  supplementalGroups [int] atomic
  supplementalGroupsPolicy string enum=Merge,Strict
  fsGroup int
  sysctls [Sysctl] atomic
  fsGroupChangePolicy string enum=Always,OnRootMismatch
  seccompProfile SeccompProfile
  appArmorProfile AppArmorProfile
  seLinuxChangePolicy string
Sysctl
  name! string
  value! string
PodStatus
  observedGeneration int
  phase string enum=Failed,Pending,Running,Succeeded,Unknown
  conditions [PodCondition] key=type
  message string
  reason string
  nominatedNodeName string
  hostIP string
  hostIPs [HostIP] mergekey=ip atomic
  podIP string
  podIPs [PodIP] key=ip
  startTime Time
  initContainerStatuses [ContainerStatus] atomic
  containerStatuses [ContainerStatus] atomic
  qosClass string enum=BestEffort,Burstable,Guaranteed
  ephemeralContainerStatuses [ContainerStatus] atomic
  resize string
  resourceClaimStatuses [PodResourceClaimStatus] key=name retain
  allocatedResources {Quantity}
  extendedResourceClaimStatus PodExtendedResourceClaimStatus
  nodeAllocatableResourceClaimStatuses [NodeAllocatableResourceClaimStatus] atomic
  resources ResourceRequirements
PodCondition
  type! string
  observedGeneration int
  status! string
  lastProbeTime Time
  lastTransitionTime Time
  reason string
  message string
PodIP
  ip! string
HostIP
  ip! string
ContainerStatus
  name! string
  state ContainerState
  lastState ContainerState
  ready! bool
  restartCount! int32
  image! string
  imageID! string
  containerID string
  started bool
  allocatedResources {Quantity}
  resources ResourceRequirements
  volumeMounts [VolumeMountStatus] key=mountPath
  user ContainerUser
  allocatedResourcesStatus [ResourceStatus] key=name
  stopSignal signal
ContainerState
  waiting ContainerStateWaiting
  running ContainerStateRunning
  terminated ContainerStateTerminated
ContainerStateWaiting
  reason string
  message string
ContainerStateRunning
  startedAt Time
ContainerStateTerminated
  exitCode! int32
  signal int32
  reason string
  message string
  startedAt Time
  finishedAt Time
  containerID string
Binding | Puts a pod on a node.
  apiVersion string
  kind string
  metadata ObjectMeta
  target! ObjectReference
PodSchedulingGroup union=:podGroupName=PodGroupName
  podGroupName string
PodAntiAffinity
  preferredDuringSchedulingIgnoredDuringExecution [WeightedPodAffinityTerm] atomic
  requiredDuringSchedulingIgnoredDuringExecution [PodAffinityTerm] atomic
AppArmorProfile union=type:localhostProfile=LocalhostProfile
  localhostProfile string
  type! string enum=Localhost,RuntimeDefault,Unconfined
SELinuxOptions
  level string
  role string
  type string
  user string
SeccompProfile union=type:localhostProfile=LocalhostProfile
  localhostProfile string
  type! string enum=Localhost,RuntimeDefault,Unconfined
WindowsSecurityContextOptions
  gmsaCredentialSpec string
  gmsaCredentialSpecName string
  hostProcess bool
  runAsUserName string
PodExtendedResourceClaimStatus
  requestMappings! [ContainerExtendedResourceRequest] atomic
  resourceClaimName! string
NodeAllocatableResourceClaimStatus
  containers [string] set
  resourceClaimName! string
  resources! {Quantity}
PodResourceClaimStatus
  name! string
  resourceClaimName string
ResourceStatus
  name! string
  resources [ResourceHealth] keys=resourceID
ContainerUser
  linux LinuxContainerUser
VolumeMountStatus
  mountPath! string
  name! string
  readOnly bool
  recursiveReadOnly string
  volumeStatus VolumeStatus
ContainerExtendedResourceRequest
  containerName! string
  requestName! string
  resourceName! string
ResourceHealth
  health string
  message string
  resourceID! string
LinuxContainerUser
  gid! int
  supplementalGroups [int] atomic
  uid! int
VolumeStatus
  image ImageVolumeStatus
ImageVolumeStatus
  imageRef! string
"""
