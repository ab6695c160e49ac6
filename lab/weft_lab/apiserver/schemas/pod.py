"""Defines Pod: containers, volumes, placement and status."""

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
  restartPolicy string | Always, OnFailure or Never.
  terminationGracePeriodSeconds int | How long the pod may take to end by itself; default 30.
  activeDeadlineSeconds int | The pod fails when it ran longer.
  dnsPolicy string
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
  priority int
  dnsConfig PodDNSConfig
  readinessGates [PodReadinessGate] atomic
  runtimeClassName string
  enableServiceLinks bool
  preemptionPolicy string
  overhead {Quantity}
  topologySpreadConstraints [SpreadConstraint] key=topologyKey keys=topologyKey,whenUnsatisfiable
  os PodOS
  schedulingGates [PodSchedulingGate] key=name
  resourceClaims [PodResourceClaim] key=name retain
  resources ResourceRequirements
PodDNSConfig
  nameservers [string] atomic
  searches [string] atomic
  options [PodDNSConfigOption] atomic
PodDNSConfigOption
  name string
  value string
PodOS atomic
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
  operator string
  value string
  effect string
  tolerationSeconds int
SpreadConstraint
  maxSkew! int
  topologyKey! string
  whenUnsatisfiable! string
  labelSelector LabelSelector
  minDomains int
  nodeAffinityPolicy string
  nodeTaintsPolicy string
  matchLabelKeys [string] atomic
Affinity | Rules about which node, beside which pods.
  nodeAffinity NodeAffinity
  podAffinity PodAffinity
  podAntiAffinity PodAffinity
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
  operator! string
  values [string] atomic
PreferredSchedulingTerm
  weight! int
  preference! NodeSelectorTerm
PodAffinity
  requiredDuringSchedulingIgnoredDuringExecution [PodAffinityTerm] atomic
  preferredDuringSchedulingIgnoredDuringExecution [WeightedPodAffinityTerm] atomic
WeightedPodAffinityTerm
  weight! int
  podAffinityTerm! PodAffinityTerm
PodAffinityTerm
  labelSelector LabelSelector
  namespaces [string] atomic
  topologyKey! string
  namespaceSelector LabelSelector
  matchLabelKeys [string] atomic
  mismatchLabelKeys [string] atomic
PodSecurityContext
  seLinuxOptions any
  windowsOptions any
  runAsUser int
  runAsGroup int
  runAsNonRoot bool
  supplementalGroups [int] atomic
  supplementalGroupsPolicy string
  fsGroup int
  sysctls [Sysctl] atomic
  fsGroupChangePolicy string
  seccompProfile any
  appArmorProfile any
  seLinuxChangePolicy string
Sysctl
  name! string
  value! string
Container | One program of a pod.
  name! string | Unique within the pod.
  image string | What to run.
  command [string] atomic | Instead of the image's own entry point.
  args [string] atomic
  workingDir string
  ports [ContainerPort] key=containerPort keys=containerPort,protocol
  envFrom [EnvFromSource] atomic
  env [EnvVar] key=name
  resources ResourceRequirements
  resizePolicy [ContainerResizePolicy] atomic
  restartPolicy string
  volumeMounts [VolumeMount] key=mountPath
  volumeDevices [VolumeDevice] key=devicePath
  livenessProbe Probe
  readinessProbe Probe
  startupProbe Probe
  lifecycle Lifecycle
  terminationMessagePath string
  terminationMessagePolicy string
  imagePullPolicy string | Always, Never or IfNotPresent.
  securityContext SecurityContext
  stdin bool
  stdinOnce bool
  tty bool
EphemeralContainer
  name! string
  image string
  command [string] atomic
  args [string] atomic
  workingDir string
  ports [ContainerPort] key=containerPort keys=containerPort,protocol
  envFrom [EnvFromSource] atomic
  env [EnvVar] key=name
  resources ResourceRequirements
  resizePolicy [ContainerResizePolicy] atomic
  restartPolicy string
  volumeMounts [VolumeMount] key=mountPath
  volumeDevices [VolumeDevice] key=devicePath
  livenessProbe Probe
  readinessProbe Probe
  startupProbe Probe
  lifecycle Lifecycle
  terminationMessagePath string
  terminationMessagePolicy string
  imagePullPolicy string
  securityContext SecurityContext
  stdin bool
  stdinOnce bool
  tty bool
  targetContainerName string
ContainerResizePolicy
  resourceName! string
  restartPolicy! string
ContainerPort
  name string
  hostPort int
  containerPort! int
  protocol string | TCP, UDP or SCTP.
  hostIP string
EnvFromSource
  prefix string
  configMapRef EnvSource
  secretRef EnvSource
EnvSource
  name string
  optional bool
EnvVar
  name! string
  value string
  valueFrom EnvVarSource
EnvVarSource
  fieldRef ObjectFieldSelector
  resourceFieldRef ResourceFieldSelector
  configMapKeyRef KeySelector
  secretKeyRef KeySelector
ObjectFieldSelector atomic
  apiVersion string
  fieldPath! string
ResourceFieldSelector atomic
  containerName string
  resource! string
  divisor Quantity
KeySelector atomic
  name string
  key! string
  optional bool
ResourceRequirements
  limits {Quantity}
  requests {Quantity}
  claims [ResourceClaimName] keys=name
ResourceClaimName
  name! string
  request string
VolumeMount
  name! string
  readOnly bool
  recursiveReadOnly string
  mountPath! string
  subPath string
  mountPropagation string
  subPathExpr string
VolumeDevice
  name! string
  devicePath! string
Probe
  exec ExecAction
  httpGet HTTPGetAction
  tcpSocket TCPSocketAction
  grpc any
  initialDelaySeconds int
  timeoutSeconds int
  periodSeconds int
  successThreshold int
  failureThreshold int
  terminationGracePeriodSeconds int
ExecAction
  command [string] atomic
HTTPGetAction
  path string
  port! IntOrString
  host string
  scheme string
  httpHeaders [HTTPHeader] atomic
HTTPHeader
  name! string
  value! string
TCPSocketAction
  port! IntOrString
  host string
Lifecycle
  postStart LifecycleHandler
  preStop LifecycleHandler
  stopSignal string
LifecycleHandler
  exec ExecAction
  httpGet HTTPGetAction
  tcpSocket TCPSocketAction
  sleep any
SecurityContext
  capabilities Capabilities
  privileged bool
  seLinuxOptions any
  windowsOptions any
  runAsUser int
  runAsGroup int
  runAsNonRoot bool
  readOnlyRootFilesystem bool
  allowPrivilegeEscalation bool
  procMount string
  seccompProfile any
  appArmorProfile any
Capabilities
  add [string] atomic
  drop [string] atomic
PodStatus
  observedGeneration int
  phase string | Pending, Running, Succeeded, Failed or Unknown.
  conditions [PodCondition] key=type
  message string
  reason string
  nominatedNodeName string
  hostIP string
  hostIPs [HostIP] key=ip
  podIP string
  podIPs [PodIP] key=ip
  startTime Time
  initContainerStatuses [ContainerStatus] atomic
  containerStatuses [ContainerStatus] atomic
  qosClass string
  ephemeralContainerStatuses [ContainerStatus] atomic
  resize string
  resourceClaimStatuses [any] atomic
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
  restartCount! int
  image! string
  imageID! string
  containerID string
  started bool
  allocatedResources {Quantity}
  resources ResourceRequirements
  volumeMounts [any] atomic
  user any
  allocatedResourcesStatus [any] atomic
  stopSignal string
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
  exitCode! int
  signal int
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
"""
