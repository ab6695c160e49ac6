"""Defines the volumes of a pod."""

TEXT = """
= io.k8s.api.core.v1
Volume | A folder that containers of a pod can mount; one source of these.
  name! string
  hostPath HostPathVolumeSource
  emptyDir EmptyDirVolumeSource
  gcePersistentDisk any
  awsElasticBlockStore any
  gitRepo any
  secret SecretVolumeSource
  nfs NFSVolumeSource
  iscsi any
  glusterfs any
  persistentVolumeClaim PersistentVolumeClaimVolumeSource
  rbd any
  flexVolume any
  cinder any
  cephfs any
  flocker any
  downwardAPI DownwardAPIVolumeSource
  fc any
  azureFile any
  configMap ConfigMapVolumeSource
  vsphereVolume any
  quobyte any
  azureDisk any
  photonPersistentDisk any
  projected ProjectedVolumeSource
  portworxVolume any
  scaleIO any
  storageos any
  csi CSIVolumeSource
  ephemeral any
  image any
HostPathVolumeSource
  path! string
  type string
EmptyDirVolumeSource
  medium string
  sizeLimit Quantity
SecretVolumeSource
  secretName string
  items [KeyToPath] atomic
  defaultMode int
  optional bool
ConfigMapVolumeSource
  name string
  items [KeyToPath] atomic
  defaultMode int
  optional bool
KeyToPath
  key! string
  path! string
  mode int
NFSVolumeSource
  server! string
  path! string
  readOnly bool
PersistentVolumeClaimVolumeSource
  claimName! string
  readOnly bool
CSIVolumeSource
  driver! string
  readOnly bool
  fsType string
  volumeAttributes {string}
  nodePublishSecretRef LocalObjectReference
DownwardAPIVolumeSource
  items [DownwardAPIVolumeFile] atomic
  defaultMode int
DownwardAPIVolumeFile
  path! string
  fieldRef ObjectFieldSelector
  resourceFieldRef ResourceFieldSelector
  mode int
ProjectedVolumeSource
  sources [VolumeProjection] atomic
  defaultMode int
VolumeProjection
  secret SecretProjection
  downwardAPI DownwardAPIVolumeSource
  configMap SecretProjection
  serviceAccountToken any
  clusterTrustBundle any
  podCertificate any
SecretProjection
  name string
  items [KeyToPath] atomic
  optional bool
"""
