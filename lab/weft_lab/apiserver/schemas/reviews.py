"""Defines what a client asks about itself and others: access, tokens, eviction."""

TEXT = """
= io.k8s.api.authorization.v1
SelfSubjectAccessReview | May I?
  apiVersion string
  kind string
  metadata ObjectMeta
  spec! SelfSubjectAccessReviewSpec
  status SubjectAccessReviewStatus
SelfSubjectRulesReview | What may I?
  apiVersion string
  kind string
  metadata ObjectMeta
  spec! SelfSubjectRulesReviewSpec
  status SubjectRulesReviewStatus
SubjectAccessReview
  apiVersion string
  kind string
  metadata ObjectMeta
  spec! SubjectAccessReviewSpec
  status SubjectAccessReviewStatus
LocalSubjectAccessReview
  apiVersion string
  kind string
  metadata ObjectMeta
  spec! SubjectAccessReviewSpec
  status SubjectAccessReviewStatus
SelfSubjectAccessReviewSpec
  nonResourceAttributes NonResourceAttributes
  resourceAttributes ResourceAttributes
SubjectAccessReviewStatus
  allowed! bool
  denied bool
  evaluationError string
  reason string
SelfSubjectRulesReviewSpec
  namespace string
SubjectRulesReviewStatus
  evaluationError string
  incomplete! bool
  nonResourceRules! [NonResourceRule] atomic
  resourceRules! [ResourceRule] atomic
SubjectAccessReviewSpec
  extra {[string]}
  groups [string] atomic
  nonResourceAttributes NonResourceAttributes
  resourceAttributes ResourceAttributes
  uid string
  user string
NonResourceAttributes
  path string
  verb string
ResourceAttributes
  fieldSelector FieldSelectorAttributes
  group string
  labelSelector LabelSelectorAttributes
  name string
  namespace string
  resource string
  subresource string
  verb string
  version string
NonResourceRule
  nonResourceURLs [string] atomic
  verbs! [string] atomic
ResourceRule
  apiGroups [string] atomic
  resourceNames [string] atomic
  resources [string] atomic
  verbs! [string] atomic
FieldSelectorAttributes
  rawSelector string
  requirements [FieldSelectorRequirement] atomic
LabelSelectorAttributes
  rawSelector string
  requirements [LabelSelectorRequirement] atomic

= io.k8s.api.authentication.v1
SelfSubjectReview | Who am I?
  apiVersion string
  kind string
  metadata ObjectMeta
  status SelfSubjectReviewStatus
TokenReview
  apiVersion string
  kind string
  metadata ObjectMeta
  spec! TokenReviewSpec
  status TokenReviewStatus
TokenRequest
  apiVersion string
  kind string
  metadata ObjectMeta
  spec TokenRequestSpec
  status TokenRequestStatus
SelfSubjectReviewStatus
  userInfo UserInfo
TokenReviewSpec
  audiences [string] atomic
  token! string
TokenReviewStatus
  audiences [string] atomic
  authenticated bool
  error string
  user UserInfo
TokenRequestSpec
  audiences [string] atomic
  boundObjectRef BoundObjectReference
  expirationSeconds int
TokenRequestStatus
  expirationTimestamp Time
  token string
UserInfo
  extra {[string]}
  groups [string] atomic
  uid string
  username string
BoundObjectReference
  apiVersion string
  kind string
  name string
  uid string

= io.k8s.api.policy.v1
Eviction | Asks for the deletion of a pod.
  apiVersion string
  kind string
  metadata ObjectMeta
  deleteOptions DeleteOptions
"""
