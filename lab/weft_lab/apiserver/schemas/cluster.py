"""Defines namespaces, nodes, events, configuration, services, leases and reviews."""

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
  phase string | Active or Terminating.
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
  configSource any
  externalID string
Taint | Keeps pods away that do not tolerate it.
  key! string
  value string
  effect! string | NoSchedule, PreferNoSchedule or NoExecute.
  timeAdded Time
NodeStatus
  capacity {Quantity}
  allocatable {Quantity}
  phase string
  conditions [NodeCondition] key=type
  addresses [NodeAddress] key=type
  daemonEndpoints any
  nodeInfo NodeSystemInfo
  images [ContainerImage] atomic
  volumesInUse [string] atomic
  volumesAttached [any] atomic
  config any
  runtimeHandlers [any] atomic
  features any
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
  kubeProxyVersion string
  operatingSystem! string
  architecture! string
  swap any
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
  count int
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
  count int
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
Service | One address for several pods.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec ServiceSpec
  status any
ServiceSpec
  ports [ServicePort] key=port keys=port,protocol
  selector {string} atomicmap
  clusterIP string
  clusterIPs [string] atomic
  type string
  externalIPs [string] atomic
  sessionAffinity string
  loadBalancerIP string
  loadBalancerSourceRanges [string] atomic
  externalName string
  externalTrafficPolicy string
  healthCheckNodePort int
  publishNotReadyAddresses bool
  sessionAffinityConfig any
  ipFamilies [string] atomic
  ipFamilyPolicy string
  allocateLoadBalancerNodePorts bool
  loadBalancerClass string
  internalTrafficPolicy string
  trafficDistribution string
ServicePort
  name string
  protocol string
  appProtocol string
  port! int
  targetPort IntOrString
  nodePort int
Endpoints | Where a service's pods listen.
  apiVersion string
  kind string
  metadata ObjectMeta
  subsets [EndpointSubset] atomic
EndpointSubset
  addresses [EndpointAddress] atomic
  notReadyAddresses [EndpointAddress] atomic
  ports [EndpointPort] atomic
EndpointAddress atomic
  ip! string
  hostname string
  nodeName string
  targetRef ObjectReference
EndpointPort atomic
  name string
  port! int
  protocol string
  appProtocol string

= io.k8s.api.events.v1
EventsEvent | Something that happened to an object, in the newer form.
  apiVersion string
  kind string
  metadata ObjectMeta
  eventTime MicroTime
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
  deprecatedCount int

= io.k8s.api.coordination.v1
Lease | Who leads, or who is alive, and until when.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec LeaseSpec
LeaseSpec
  holderIdentity string
  leaseDurationSeconds int
  acquireTime MicroTime
  renewTime MicroTime
  leaseTransitions int
  strategy string
  preferredHolder string

= io.k8s.api.authorization.v1
SelfSubjectAccessReview | May I?
  apiVersion string
  kind string
  metadata ObjectMeta
  spec! any
  status any
SelfSubjectRulesReview | What may I?
  apiVersion string
  kind string
  metadata ObjectMeta
  spec! any
  status any

= io.k8s.api.authentication.v1
SelfSubjectReview | Who am I?
  apiVersion string
  kind string
  metadata ObjectMeta
  status any

= io.k8s.api.policy.v1
Eviction | Asks for the deletion of a pod.
  apiVersion string
  kind string
  metadata ObjectMeta
  deleteOptions DeleteOptions
"""
