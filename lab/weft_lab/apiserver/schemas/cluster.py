"""Defines namespaces, nodes, events, configuration and leases."""

TEXT = """
= io.k8s.api.core.v1
ObjectReference atomic | Names any object.
  kind string
  namespace string
  name string
  uid string
  apiVersion string
  resourceVersion string
  fieldPath string
Namespace | A room for names.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec NamespaceSpec
  status NamespaceStatus
NamespaceSpec
  finalizers [string] atomic
NamespaceStatus
  phase string enum=Active,Terminating | Active or Terminating.
  conditions [NamespaceCondition] key=type
NamespaceCondition
  type! string
  status! string
  lastTransitionTime Time
  reason string
  message string
Node | A machine that runs pods.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec NodeSpec
  status NodeStatus
NodeSpec
  podCIDR string
  podCIDRs [string] set merge
  providerID string
  unschedulable bool | No new pods are placed here.
  taints [Taint] atomic
  configSource NodeConfigSource
  externalID string
Taint | Keeps pods away that do not tolerate it.
  key! string
  value string
  effect! string enum=NoExecute,NoSchedule,PreferNoSchedule
  timeAdded Time
NodeStatus
  capacity {Quantity}
  allocatable {Quantity}
  phase string enum=Pending,Running,Terminated
  conditions [NodeCondition] key=type
  addresses [NodeAddress] key=type
  daemonEndpoints NodeDaemonEndpoints
  nodeInfo NodeSystemInfo
  images [ContainerImage] atomic
  volumesInUse [string] atomic
  volumesAttached [AttachedVolume] atomic
  config NodeConfigStatus
  runtimeHandlers [NodeRuntimeHandler] atomic
  features NodeFeatures
  declaredFeatures [string] atomic
NodeCondition
  type! string
  status! string
  lastHeartbeatTime Time
  lastTransitionTime Time
  reason string
  message string
NodeAddress
  type! string
  address! string
ContainerImage
  names [string] atomic
  sizeBytes int
NodeSystemInfo
  machineID! string
  systemUUID! string
  bootID! string
  kernelVersion! string
  osImage! string
  containerRuntimeVersion! string
  kubeletVersion! string
  kubeProxyVersion! string
  operatingSystem! string
  architecture! string
  swap NodeSwapStatus
Event | Something that happened to an object.
  apiVersion string
  kind string
  metadata! ObjectMeta
  involvedObject! ObjectReference | What it happened to.
  reason string | One word, for programs.
  message string | One sentence, for people.
  source EventSource
  firstTimestamp Time
  lastTimestamp Time
  count int32
  type string | Normal or Warning.
  eventTime MicroTime
  series EventSeries
  action string
  related ObjectReference
  reportingComponent string
  reportingInstance string
EventSource
  component string
  host string
EventSeries
  count int32
  lastObservedTime MicroTime
ConfigMap | Configuration as text.
  apiVersion string
  kind string
  metadata ObjectMeta
  immutable bool
  data {string}
  binaryData {bytes}
Secret | What should not be read by everybody.
  apiVersion string
  kind string
  metadata ObjectMeta
  immutable bool
  data {bytes} | Values in base64.
  stringData {string} | Values as they are; written only.
  type string
ServiceAccount | An identity for what runs in pods.
  apiVersion string
  kind string
  metadata ObjectMeta
  secrets [ObjectReference] key=name
  imagePullSecrets [LocalObjectReference] atomic
  automountServiceAccountToken bool
NodeConfigSource
  configMap ConfigMapNodeConfigSource
NodeConfigStatus
  active NodeConfigSource
  assigned NodeConfigSource
  error string
  lastKnownGood NodeConfigSource
NodeDaemonEndpoints
  kubeletEndpoint DaemonEndpoint
NodeFeatures
  supplementalGroupsPolicy bool
NodeRuntimeHandler
  features NodeRuntimeHandlerFeatures
  name string
AttachedVolume
  devicePath! string
  name! string
NodeSwapStatus
  capacity int
ConfigMapNodeConfigSource
  kubeletConfigKey! string
  name! string
  namespace! string
  resourceVersion string
  uid string
DaemonEndpoint
  Port! int32
NodeRuntimeHandlerFeatures
  recursiveReadOnlyMounts bool
  userNamespaces bool

= io.k8s.api.events.v1
Event | Something that happened to an object, in the newer form.
  apiVersion string
  kind string
  metadata ObjectMeta
  eventTime! MicroTime
  series EventSeries
  reportingController string
  reportingInstance string
  action string
  reason string
  regarding ObjectReference
  related ObjectReference
  note string
  type string
  deprecatedSource EventSource
  deprecatedFirstTimestamp Time
  deprecatedLastTimestamp Time
  deprecatedCount int32
EventSeries
  count! int32
  lastObservedTime! MicroTime

= io.k8s.api.coordination.v1
Lease | Who leads, or who is alive, and until when.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec LeaseSpec
LeaseSpec
  holderIdentity string
  leaseDurationSeconds int32
  acquireTime MicroTime
  renewTime MicroTime
  leaseTransitions int32
  strategy string
  preferredHolder string
"""
