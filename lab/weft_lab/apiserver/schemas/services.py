"""Defines services and endpoints."""

TEXT = """
= io.k8s.api.core.v1
Service | One address for several pods.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec ServiceSpec
  status ServiceStatus
ServiceSpec
  ports [ServicePort] key=port and=protocol
  selector {string} atomicmap
  clusterIP string
  clusterIPs [string] atomic
  type string enum=ClusterIP,ExternalName,LoadBalancer,NodePort
  externalIPs [string] atomic
  sessionAffinity string enum=ClientIP,None
  loadBalancerIP string
  loadBalancerSourceRanges [string] atomic
  externalName string
  externalTrafficPolicy string enum=Cluster,Local
  healthCheckNodePort int32
  publishNotReadyAddresses bool
  sessionAffinityConfig SessionAffinityConfig
  ipFamilies [string] atomic enum=,IPv4,IPv6
  ipFamilyPolicy string enum=PreferDualStack,RequireDualStack,SingleStack
  allocateLoadBalancerNodePorts bool
  loadBalancerClass string
  internalTrafficPolicy string enum=Cluster,Local
  trafficDistribution string
ServicePort
  name string
  protocol string default=TCP enum=SCTP,TCP,UDP
  appProtocol string
  port! int32
  targetPort IntOrString
  nodePort int32
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
  port! int32
  protocol string enum=SCTP,TCP,UDP
  appProtocol string
ServiceStatus
  conditions [Condition] key=type
  loadBalancer LoadBalancerStatus
SessionAffinityConfig
  clientIP ClientIPConfig
LoadBalancerStatus
  ingress [LoadBalancerIngress] atomic
ClientIPConfig
  timeoutSeconds int32
LoadBalancerIngress
  hostname string
  ip string
  ipMode string
  ports [PortStatus] atomic
PortStatus
  error string
  port! int32
  protocol! string enum=SCTP,TCP,UDP
"""
