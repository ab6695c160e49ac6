"""Defines the types of RBAC: roles and bindings."""

TEXT = """
= io.k8s.api.rbac.v1
PolicyRule | Verbs on resources, or on paths that are none.
  verbs! [string] atomic | get, list, watch, create, update, patch, delete, ... or *.
  apiGroups [string] atomic
  resources [string] atomic | Plurals, plural/subresource, or *.
  resourceNames [string] atomic | None: all names.
  nonResourceURLs [string] atomic | Paths; a last * stands for anything.
AggregationRule | Whose rules a role has.
  clusterRoleSelectors [LabelSelector] atomic
Role | What may be done in its namespace.
  apiVersion string
  kind string
  metadata ObjectMeta
  rules [PolicyRule] atomic
ClusterRole | What may be done in the cluster, or in a namespace that binds it.
  apiVersion string
  kind string
  metadata ObjectMeta
  rules [PolicyRule] atomic
  aggregationRule AggregationRule
RoleRef atomic | The role of a binding; it stays.
  apiGroup string
  kind! string
  name! string
Subject atomic | A user, a group or a service account.
  kind! string
  apiGroup string
  name! string
  namespace string
RoleBinding | Gives subjects a role in its namespace.
  apiVersion string
  kind string
  metadata ObjectMeta
  subjects [Subject] atomic
  roleRef! RoleRef
ClusterRoleBinding | Gives subjects a cluster role everywhere.
  apiVersion string
  kind string
  metadata ObjectMeta
  subjects [Subject] atomic
  roleRef! RoleRef
"""
