"""Defines the containers of a pod: what they run, see and may do."""

TEXT = """
= io.k8s.api.core.v1
Container | One program of a pod.
  name! string | Unique within the pod.
  image string | What to run.
  command [string] atomic | Instead of the image's own entry point.
  args [string] atomic
  workingDir string
  ports [ContainerPort] key=containerPort and=protocol
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
  terminationMessagePolicy string enum=FallbackToLogsOnError,File
  imagePullPolicy string enum=Always,IfNotPresent,Never | Always, Never or IfNotPresent.
  securityContext SecurityContext
  stdin bool
  stdinOnce bool
  tty bool
  restartPolicyRules [ContainerRestartRule] atomic
EphemeralContainer
  name! string
  image string
  command [string] atomic
  args [string] atomic
  workingDir string
  ports [ContainerPort] key=containerPort and=protocol
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
  terminationMessagePolicy string enum=FallbackToLogsOnError,File
  imagePullPolicy string enum=Always,IfNotPresent,Never
  securityContext SecurityContext
  stdin bool
  stdinOnce bool
  tty bool
  targetContainerName string
  restartPolicyRules [ContainerRestartRule] atomic
ContainerResizePolicy
  resourceName! string
  restartPolicy! string
ContainerPort
  name string
  hostPort int32
  containerPort! int32
  protocol string default=TCP enum=SCTP,TCP,UDP | TCP, UDP or SCTP.
  hostIP string
EnvFromSource
  prefix string
  configMapRef ConfigMapEnvSource
  secretRef SecretEnvSource
ConfigMapEnvSource
  name string
  optional bool
EnvVar
  name! string
  value string
  valueFrom EnvVarSource
EnvVarSource
  fieldRef ObjectFieldSelector
  resourceFieldRef ResourceFieldSelector
  configMapKeyRef ConfigMapKeySelector
  secretKeyRef SecretKeySelector
  fileKeyRef FileKeySelector
ObjectFieldSelector atomic
  apiVersion string
  fieldPath! string
ResourceFieldSelector atomic
  containerName string
  resource! string
  divisor Quantity
ConfigMapKeySelector atomic
  name string
  key! string
  optional bool
ResourceRequirements
  limits {Quantity}
  requests {Quantity}
  claims [ResourceClaim] keys=name
ResourceClaim
  name! string
  request string
VolumeMount
  name! string
  readOnly bool
  recursiveReadOnly string
  mountPath! string
  subPath string
  mountPropagation string enum=Bidirectional,HostToContainer,None
  subPathExpr string
VolumeDevice
  name! string
  devicePath! string
Probe
  exec ExecAction
  httpGet HTTPGetAction
  tcpSocket TCPSocketAction
  grpc GRPCAction
  initialDelaySeconds int32
  timeoutSeconds int32
  periodSeconds int32
  successThreshold int32
  failureThreshold int32
  terminationGracePeriodSeconds int
ExecAction
  command [string] atomic
HTTPGetAction
  path string
  port! IntOrString
  host string
  scheme string enum=HTTP,HTTPS
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
  stopSignal signal
LifecycleHandler
  exec ExecAction
  httpGet HTTPGetAction
  tcpSocket TCPSocketAction
  sleep SleepAction
SecurityContext
  capabilities Capabilities
  privileged bool
  seLinuxOptions SELinuxOptions
  windowsOptions WindowsSecurityContextOptions
  runAsUser int
  runAsGroup int
  runAsNonRoot bool
  readOnlyRootFilesystem bool
  allowPrivilegeEscalation bool
  procMount string enum=Default,Unmasked
  seccompProfile SeccompProfile
  appArmorProfile AppArmorProfile
Capabilities
  add [string] atomic
  drop [string] atomic
ContainerRestartRule
  action! string
  exitCodes ContainerRestartRuleOnExitCodes
SecretEnvSource
  name string
  optional bool
FileKeySelector atomic
  key! string
  optional bool
  path! string
  volumeName! string
SecretKeySelector atomic
  key! string
  name string
  optional bool
GRPCAction
  port! int32
  service string
SleepAction
  seconds! int
ContainerRestartRuleOnExitCodes
  operator! string
  values [int32] set
"""
