"""The types of admissionregistration.k8s.io that a lab serves, in the words of `notation`."""

TEXT = """
= io.k8s.api.admissionregistration.v1
MatchCondition | Admits a request where its expression is true, and where all others are.
  name! string
  expression! string | In CEL.
RuleWithOperations | Requests, by what they do to which resources.
  operations [string] atomic enum=*,CONNECT,CREATE,DELETE,UPDATE
  apiGroups [string] atomic
  apiVersions [string] atomic
  resources [string] atomic | Plurals, plural/subresource, plural/*, */subresource or *.
  scope string enum=*,Cluster,Namespaced | Cluster, Namespaced or *.
NamedRuleWithOperations atomic | The same, of objects with certain names.
  operations [string] atomic enum=*,CONNECT,CREATE,DELETE,UPDATE
  apiGroups [string] atomic
  apiVersions [string] atomic
  resources [string] atomic
  resourceNames [string] atomic
  scope string enum=*,Cluster,Namespaced
MatchResources atomic | To which requests something applies.
  namespaceSelector LabelSelector
  objectSelector LabelSelector
  resourceRules [NamedRuleWithOperations] atomic
  excludeResourceRules [NamedRuleWithOperations] atomic
  matchPolicy string enum=Equivalent,Exact | Exact or Equivalent.
ParamKind atomic | The type of a policy's parameters.
  apiVersion string
  kind string
ParamRef atomic | The parameters of a binding.
  name string
  namespace string
  selector LabelSelector
  parameterNotFoundAction string
Validation | What has to be true.
  expression! string | In CEL.
  message string
  reason string | Unauthorized, Forbidden, Invalid or RequestEntityTooLarge.
  messageExpression string | In CEL; its value is the message.
AuditAnnotation
  key! string
  valueExpression! string
Variable atomic | A value that expressions after it find under variables.
  name! string
  expression! string
ValidatingAdmissionPolicySpec
  paramKind ParamKind
  matchConstraints MatchResources
  validations [Validation] atomic
  failurePolicy string enum=Fail,Ignore | Fail or Ignore.
  auditAnnotations [AuditAnnotation] atomic
  matchConditions [MatchCondition] key=name
  variables [Variable] key=name
ValidatingAdmissionPolicyStatus
  observedGeneration int
  conditions [Condition] keys=type
  typeChecking TypeChecking
ValidatingAdmissionPolicy | Rules in CEL about what may be written.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec ValidatingAdmissionPolicySpec
  status ValidatingAdmissionPolicyStatus
ValidatingAdmissionPolicyBindingSpec
  policyName! string
  paramRef ParamRef
  matchResources MatchResources
  validationActions! [string] set enum=Audit,Deny,Warn | Deny, Warn or Audit.
ValidatingAdmissionPolicyBinding | Puts a policy in force.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec! ValidatingAdmissionPolicyBindingSpec
ServiceReference
  namespace! string
  name! string
  path string
  port int32
WebhookClientConfig | How a webhook is reached.
  url string
  service ServiceReference
  caBundle bytes | Certificates in PEM by which it is known.
ValidatingWebhook
  name! string
  clientConfig! WebhookClientConfig
  rules [RuleWithOperations] atomic
  failurePolicy string enum=Fail,Ignore | Ignore or Fail.
  matchPolicy string enum=Equivalent,Exact | Exact or Equivalent.
  namespaceSelector LabelSelector
  objectSelector LabelSelector
  sideEffects! string enum=None,NoneOnDryRun,Some,Unknown | None or NoneOnDryRun.
  timeoutSeconds int32
  admissionReviewVersions! [string] atomic
  matchConditions [MatchCondition] key=name
MutatingWebhookConfiguration | Who may alter what is written.
  apiVersion string
  kind string
  metadata ObjectMeta
  webhooks [MutatingWebhook] key=name
MutatingWebhook
  name! string
  clientConfig! WebhookClientConfig
  rules [RuleWithOperations] atomic
  failurePolicy string enum=Fail,Ignore | Ignore or Fail.
  matchPolicy string enum=Equivalent,Exact | Exact or Equivalent.
  namespaceSelector LabelSelector
  objectSelector LabelSelector
  reinvocationPolicy string enum=IfNeeded,Never | Never or IfNeeded.
  sideEffects! string enum=None,NoneOnDryRun,Some,Unknown | None or NoneOnDryRun.
  timeoutSeconds int32
  admissionReviewVersions! [string] atomic
  matchConditions [MatchCondition] key=name
ValidatingWebhookConfiguration | Who is asked before something is written.
  apiVersion string
  kind string
  metadata ObjectMeta
  webhooks [ValidatingWebhook] key=name
TypeChecking
  expressionWarnings [ExpressionWarning] atomic
ExpressionWarning
  fieldRef! string
  warning! string
"""
