"""Defines the types of meta/v1 that every object has, and options of requests."""

TEXT = """
= io.k8s.apimachinery.pkg.api.resource
Quantity quantity | A number with a unit, such as 500m or 2Gi.

= io.k8s.apimachinery.pkg.util.intstr
IntOrString int-or-string | A number, or a name or percentage as text.

= io.k8s.apimachinery.pkg.apis.meta.v1
Time time | A moment, as RFC 3339 in UTC.
MicroTime time | A moment, as RFC 3339 in UTC with microseconds.
FieldsV1 any | Which fields a manager owns, as a tree.
ObjectMeta | What all objects have: their name, their labels, and the server's own notes.
  name string | Unique within the namespace, and never changed.
  generateName string | With no name given, the server makes one that begins so.
  namespace string | Where the object lives; empty for what belongs to the whole cluster.
  selfLink string | No longer used.
  uid string | Unique over all objects and all time; set by the server.
  resourceVersion string | Changes with every write; send it back to write only what you have seen.
  generation int | Counts the changes of what is asked for.
  creationTimestamp Time | When the server took the object in.
  deletionTimestamp Time | When deletion was asked for (or becomes due); the object is going.
  deletionGracePeriodSeconds int | How long it may take to end by itself.
  labels {string} | Words to select objects by.
  annotations {string} | Anything that tools attach to an object.
  ownerReferences [OwnerReference] key=uid | When all of these are gone, this object goes too.
  finalizers [string] set merge | Who has yet to clean up before the object may go.
  managedFields [ManagedFieldsEntry] atomic | Who set which fields.
OwnerReference atomic | Names an object that this one depends on.
  apiVersion! string
  kind! string
  name! string
  uid! string
  controller bool | This owner manages the object.
  blockOwnerDeletion bool | Foreground deletion of the owner waits for this object.
ManagedFieldsEntry | The fields of one manager.
  manager string
  operation string | Apply or Update.
  apiVersion string
  time Time
  fieldsType string
  fieldsV1 FieldsV1
  subresource string
ListMeta | What all lists have.
  selfLink string
  resourceVersion string
  continue string | Send it back for the next part of the list.
  remainingItemCount int
  shardInfo ShardInfo
LabelSelector atomic | Chooses objects by their labels; all parts must hold.
  matchLabels {string}
  matchExpressions [LabelSelectorRequirement] atomic
LabelSelectorRequirement
  key! string
  operator! string | In, NotIn, Exists or DoesNotExist.
  values [string] atomic
Condition | One aspect of an object's state.
  type! string
  status! string | True, False or Unknown.
  observedGeneration int
  lastTransitionTime! Time
  reason! string
  message! string
Preconditions | What must hold for a deletion to be done.
  uid string
  resourceVersion string
DeleteOptions | How to delete.
  apiVersion string
  kind string
  gracePeriodSeconds int
  preconditions Preconditions
  orphanDependents bool
  propagationPolicy string | Orphan, Background or Foreground.
  dryRun [string] atomic
  ignoreStoreReadErrorWithClusterBreakingPotential bool
Status | The answer to a request that returns no object.
  apiVersion string
  kind string
  metadata ListMeta
  status string
  message string
  reason string
  details StatusDetails
  code int32
Patch any | A patch in the language that the content type names.
WatchEvent
  object! RawExtension
  type! string
APIResourceList
  apiVersion string
  groupVersion! string
  kind string
  resources! [APIResource] atomic
APIGroup
  apiVersion string
  kind string
  name! string
  preferredVersion GroupVersionForDiscovery
  serverAddressByClientCIDRs [ServerAddressByClientCIDR] atomic
  versions! [GroupVersionForDiscovery] atomic
ShardInfo
  selector! string
StatusDetails
  causes [StatusCause] atomic
  group string
  kind string
  name string
  retryAfterSeconds int32
  uid string
APIResource
  categories [string] atomic
  group string
  kind! string
  name! string
  namespaced! bool
  shortNames [string] atomic
  singularName! string
  storageVersionHash string
  verbs! [string]
  version string
GroupVersionForDiscovery
  groupVersion! string
  version! string
ServerAddressByClientCIDR
  clientCIDR! string
  serverAddress! string
StatusCause
  field string
  message string
  reason string
FieldSelectorRequirement
  key! string
  operator! string
  values [string] atomic

= io.k8s.apimachinery.pkg.runtime
RawExtension any
"""
