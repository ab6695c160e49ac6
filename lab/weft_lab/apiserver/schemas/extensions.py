"""Defines CustomResourceDefinition, which defines further types."""

TEXT = """
= io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1
CustomResourceDefinition | A type of one's own.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec! CustomResourceDefinitionSpec
  status CustomResourceDefinitionStatus
CustomResourceDefinitionSpec
  group! string
  names! CustomResourceDefinitionNames
  scope! string | Namespaced or Cluster.
  versions! [CustomResourceDefinitionVersion] atomic
  conversion any
  preserveUnknownFields bool
CustomResourceDefinitionNames
  plural! string
  singular string
  shortNames [string] atomic
  kind! string
  listKind string
  categories [string] atomic
CustomResourceDefinitionVersion
  name! string
  served! bool
  storage! bool
  deprecated bool
  deprecationWarning string
  schema CustomResourceValidation
  subresources CustomResourceSubresources
  additionalPrinterColumns [CustomResourceColumnDefinition] atomic
  selectableFields [SelectableField] atomic
CustomResourceValidation
  openAPIV3Schema any | The OpenAPI v3 schema of the type.
CustomResourceSubresources
  status any
  scale any
CustomResourceColumnDefinition
  name! string
  type! string
  format string
  description string
  priority int
  jsonPath! string
SelectableField
  jsonPath! string
CustomResourceDefinitionStatus
  conditions [CustomResourceDefinitionCondition] keys=type
  acceptedNames CustomResourceDefinitionNames
  storedVersions [string] atomic
  observedGeneration int
CustomResourceDefinitionCondition
  type! string
  status! string
  lastTransitionTime Time
  reason string
  message string
  observedGeneration int
"""
