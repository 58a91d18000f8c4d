{{- define "postrider.secretsClusterRoleName" -}}
{{- printf "%s:secrets" (include "postrider.clusterName" .) }}
{{- end }}

{{- define "postrider.tokensClusterRoleName" -}}
{{- printf "%s:tokens" (include "postrider.clusterName" .) }}
{{- end }}

{{/* True when a port asks the API server who its callers are. */}}
{{- define "postrider.usesReviews" -}}
{{- if or (has "kubernetes" .Values.ingest.auth) (has "kubernetes" .Values.api.auth) (eq .Values.metrics.auth "kubernetes") }}true{{ end }}
{{- end }}

{{/* What the operator needs in every namespace it serves; nothing here reads Secrets. */}}
{{- define "postrider.namespacedRules" -}}
- apiGroups: [postrider.dev]
  resources: [webhooksubscriptions]
  # patch: only metadata.finalizers is written, by merge patch.
  verbs: [get, list, watch, patch]
- apiGroups: [postrider.dev]
  resources: [deliverypolicies, deliveryreplays]
  verbs: [get, list, watch]
- apiGroups: [postrider.dev]
  resources: [webhooksubscriptions/status, deliverypolicies/status, deliveryreplays/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* What is cluster-scoped by nature. */}}
{{- define "postrider.clusterRules" -}}
- apiGroups: [postrider.dev]
  resources: [clusterdeliverypolicies]
  verbs: [get, list, watch]
- apiGroups: [postrider.dev]
  resources: [clusterdeliverypolicies/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- if include "postrider.usesReviews" . }}
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
# The keys by which tokens are signed. Kubernetes lets every ServiceAccount read them (system:service-account-issuer-discovery), unless someone took that away.
- nonResourceURLs: [/.well-known/openid-configuration, /openid/v1/jwks]
  verbs: [get]
{{- end }}
{{- end }}

{{- define "postrider.subject" -}}
- kind: ServiceAccount
  name: {{ include "postrider.serviceAccountName" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
{{- end }}

{{/* The command that lets the operator make tokens of a namespace's ServiceAccounts. */}}
{{- define "postrider.tokensBindingHint" -}}
{{- $role := include "postrider.tokensClusterRoleName" . -}}
{{- printf "kubectl -n {namespace} create rolebinding %s --clusterrole=%s --serviceaccount=%s:%s" $role $role .Release.Namespace (include "postrider.serviceAccountName" .) -}}
{{- end }}

{{/* The command that opens the Secrets of a namespace; the operator's conditions and the notes show it. */}}
{{- define "postrider.secretsBindingHint" -}}
{{- $role := include "postrider.secretsClusterRoleName" . -}}
{{- printf "kubectl -n {namespace} create rolebinding %s --clusterrole=%s --serviceaccount=%s:%s" $role $role .Release.Namespace (include "postrider.serviceAccountName" .) -}}
{{- end }}
