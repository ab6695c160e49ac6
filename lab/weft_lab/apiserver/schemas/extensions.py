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
  conversion CustomResourceConversion
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
  openAPIV3Schema JSONSchemaProps | The OpenAPI v3 schema of the type.
CustomResourceSubresources
  status CustomResourceSubresourceStatus
  scale CustomResourceSubresourceScale
CustomResourceColumnDefinition
  name! string
  type! string
  format string
  description string
  priority int32
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
CustomResourceConversion
  strategy! string
  webhook WebhookConversion
JSONSchemaProps
  $ref string
  $schema string
  additionalItems JSONSchemaPropsOrBool
  additionalProperties JSONSchemaPropsOrBool
  allOf [JSONSchemaProps] atomic
  anyOf [JSONSchemaProps] atomic
  default JSON
  definitions {JSONSchemaProps}
  dependencies {JSONSchemaPropsOrStringArray}
  description string
  enum [JSON] atomic
  example JSON
  exclusiveMaximum bool
  exclusiveMinimum bool
  externalDocs ExternalDocumentation
  format string
  id string
  items JSONSchemaPropsOrArray
  maxItems int
  maxLength int
  maxProperties int
  maximum num
  minItems int
  minLength int
  minProperties int
  minimum num
  multipleOf num
  not JSONSchemaProps
  nullable bool
  oneOf [JSONSchemaProps] atomic
  pattern string
  patternProperties {JSONSchemaProps}
  properties {JSONSchemaProps}
  required [string] atomic
  title string
  type string
  uniqueItems bool
  x-kubernetes-embedded-resource bool
  x-kubernetes-int-or-string bool
  x-kubernetes-list-map-keys [string] atomic
  x-kubernetes-list-type string
  x-kubernetes-map-type string
  x-kubernetes-preserve-unknown-fields bool
  x-kubernetes-validations [ValidationRule] key=rule
CustomResourceSubresourceScale
  labelSelectorPath string
  specReplicasPath! string
  statusReplicasPath! string
CustomResourceSubresourceStatus any
WebhookConversion
  clientConfig WebhookClientConfig
  conversionReviewVersions! [string] atomic
JSONSchemaPropsOrBool value
JSON value
JSONSchemaPropsOrStringArray value
ExternalDocumentation
  description string
  url string
JSONSchemaPropsOrArray value
ValidationRule
  fieldPath string
  message string
  messageExpression string
  optionalOldSelf bool
  reason string enum=FieldValueDuplicate,FieldValueForbidden,FieldValueInvalid,FieldValueRequired
  rule! string
WebhookClientConfig
  caBundle bytes
  service ServiceReference
  url string
ServiceReference
  name! string
  namespace! string
  path string
  port int32
"""
