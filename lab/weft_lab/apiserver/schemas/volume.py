"""Defines the volumes of a pod."""

TEXT = """
= io.k8s.api.core.v1
Volume | A folder that containers of a pod can mount; one source of these.
  name! string
  hostPath HostPathVolumeSource
  emptyDir EmptyDirVolumeSource
  gcePersistentDisk GCEPersistentDiskVolumeSource
  awsElasticBlockStore AWSElasticBlockStoreVolumeSource
  gitRepo GitRepoVolumeSource
  secret SecretVolumeSource
  nfs NFSVolumeSource
  iscsi ISCSIVolumeSource
  glusterfs GlusterfsVolumeSource
  persistentVolumeClaim PersistentVolumeClaimVolumeSource
  rbd RBDVolumeSource
  flexVolume FlexVolumeSource
  cinder CinderVolumeSource
  cephfs CephFSVolumeSource
  flocker FlockerVolumeSource
  downwardAPI DownwardAPIVolumeSource
  fc FCVolumeSource
  azureFile AzureFileVolumeSource
  configMap ConfigMapVolumeSource
  vsphereVolume VsphereVirtualDiskVolumeSource
  quobyte QuobyteVolumeSource
  azureDisk AzureDiskVolumeSource
  photonPersistentDisk PhotonPersistentDiskVolumeSource
  projected ProjectedVolumeSource
  portworxVolume PortworxVolumeSource
  scaleIO ScaleIOVolumeSource
  storageos StorageOSVolumeSource
  csi CSIVolumeSource
  ephemeral EphemeralVolumeSource
  image ImageVolumeSource
HostPathVolumeSource
  path! string
  type string enum=,BlockDevice,CharDevice,Directory,DirectoryOrCreate,File,FileOrCreate,Socket
EmptyDirVolumeSource
  medium string
  sizeLimit Quantity
SecretVolumeSource
  secretName string
  items [KeyToPath] atomic
  defaultMode int32
  optional bool
ConfigMapVolumeSource
  name string
  items [KeyToPath] atomic
  defaultMode int32
  optional bool
KeyToPath
  key! string
  path! string
  mode int32
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
  defaultMode int32
DownwardAPIVolumeFile
  path! string
  fieldRef ObjectFieldSelector
  resourceFieldRef ResourceFieldSelector
  mode int32
ProjectedVolumeSource
  sources [VolumeProjection] atomic
  defaultMode int32
VolumeProjection
  secret SecretProjection
  downwardAPI DownwardAPIProjection
  configMap ConfigMapProjection
  serviceAccountToken ServiceAccountTokenProjection
  clusterTrustBundle ClusterTrustBundleProjection
  podCertificate PodCertificateProjection
SecretProjection
  name string
  items [KeyToPath] atomic
  optional bool
"""
