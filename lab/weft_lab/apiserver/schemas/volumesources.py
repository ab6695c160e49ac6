"""Defines the sources of volumes that no lab mounts, so that pods that name them are checked."""

TEXT = """
= io.k8s.api.core.v1
AWSElasticBlockStoreVolumeSource
  fsType string
  partition int32
  readOnly bool
  volumeID! string
AzureDiskVolumeSource
  cachingMode string default=ReadWrite enum=None,ReadOnly,ReadWrite
  diskName! string
  diskURI! string
  fsType string default=ext4
  kind string default=Shared enum=Dedicated,Managed,Shared
  readOnly bool
AzureFileVolumeSource
  readOnly bool
  secretName! string
  shareName! string
CephFSVolumeSource
  monitors! [string] atomic
  path string
  readOnly bool
  secretFile string
  secretRef LocalObjectReference
  user string
CinderVolumeSource
  fsType string
  readOnly bool
  secretRef LocalObjectReference
  volumeID! string
EphemeralVolumeSource
  volumeClaimTemplate PersistentVolumeClaimTemplate
FCVolumeSource
  fsType string
  lun int32
  readOnly bool
  targetWWNs [string] atomic
  wwids [string] atomic
FlexVolumeSource
  driver! string
  fsType string
  options {string}
  readOnly bool
  secretRef LocalObjectReference
FlockerVolumeSource
  datasetName string
  datasetUUID string
GCEPersistentDiskVolumeSource
  fsType string
  partition int32
  pdName! string
  readOnly bool
GitRepoVolumeSource
  directory string
  repository! string
  revision string
GlusterfsVolumeSource
  endpoints! string
  path! string
  readOnly bool
ImageVolumeSource
  pullPolicy string enum=Always,IfNotPresent,Never
  reference string
ISCSIVolumeSource
  chapAuthDiscovery bool
  chapAuthSession bool
  fsType string
  initiatorName string
  iqn! string
  iscsiInterface string default=default
  lun! int32
  portals [string] atomic
  readOnly bool
  secretRef LocalObjectReference
  targetPortal! string
PhotonPersistentDiskVolumeSource
  fsType string
  pdID! string
PortworxVolumeSource
  fsType string
  readOnly bool
  volumeID! string
QuobyteVolumeSource
  group string
  readOnly bool
  registry! string
  tenant string
  user string
  volume! string
RBDVolumeSource
  fsType string
  image! string
  keyring string default=/etc/ceph/keyring
  monitors! [string] atomic
  pool string default=rbd
  readOnly bool
  secretRef LocalObjectReference
  user string default=admin
ScaleIOVolumeSource
  fsType string default=xfs
  gateway! string
  protectionDomain string
  readOnly bool
  secretRef! LocalObjectReference
  sslEnabled bool
  storageMode string default=ThinProvisioned
  storagePool string
  system! string
  volumeName string
StorageOSVolumeSource
  fsType string
  readOnly bool
  secretRef LocalObjectReference
  volumeName string
  volumeNamespace string
VsphereVirtualDiskVolumeSource
  fsType string
  storagePolicyID string
  storagePolicyName string
  volumePath! string
ClusterTrustBundleProjection
  labelSelector LabelSelector
  name string
  optional bool
  path! string
  signerName string
ConfigMapProjection
  items [KeyToPath] atomic
  name string
  optional bool
DownwardAPIProjection
  items [DownwardAPIVolumeFile] atomic
PodCertificateProjection
  certificateChainPath string
  credentialBundlePath string
  keyPath string
  keyType! string
  maxExpirationSeconds int32
  signerName! string
  userAnnotations {string}
ServiceAccountTokenProjection
  audience string
  expirationSeconds int
  path! string
PersistentVolumeClaimTemplate
  metadata ObjectMeta
  spec! PersistentVolumeClaimSpec
PersistentVolumeClaimSpec
  accessModes [string] atomic enum=ReadOnlyMany,ReadWriteMany,ReadWriteOnce,ReadWriteOncePod
  dataSource TypedLocalObjectReference
  dataSourceRef TypedObjectReference
  resources VolumeResourceRequirements
  selector LabelSelector
  storageClassName string
  volumeAttributesClassName string
  volumeMode string enum=Block,Filesystem
  volumeName string
TypedLocalObjectReference atomic
  apiGroup string
  kind! string
  name! string
TypedObjectReference
  apiGroup string
  kind! string
  name! string
  namespace string
VolumeResourceRequirements
  limits {Quantity}
  requests {Quantity}
"""
