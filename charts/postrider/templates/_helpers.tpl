{{- define "postrider.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* At most 63 characters, the longest a label value or a Service name may be. */}}
{{- define "postrider.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/*
The full name with a suffix, still at most 63 characters: a name that must be cut carries a hash, so that two long release names
never meet. Use: include "postrider.suffixed" (dict "context" . "suffix" "ingest")
*/}}
{{- define "postrider.suffixed" -}}
{{- $base := include "postrider.fullname" .context -}}
{{- $whole := printf "%s-%s" $base .suffix -}}
{{- if le (len $whole) 63 -}}
{{- $whole -}}
{{- else -}}
{{- $hash := sha256sum $base | trunc 8 -}}
{{- $room := int (sub 53 (len .suffix)) -}}
{{- printf "%s-%s-%s" ($base | trunc $room | trimSuffix "-") $hash .suffix -}}
{{- end -}}
{{- end }}

{{/* A StatefulSet's Pods get the name plus `-0` and a revision label of name plus hash, at most 63 in all: 52 for the name. */}}
{{- define "postrider.workloadName" -}}
{{- $name := include "postrider.fullname" . -}}
{{- if le (len $name) 52 -}}
{{- $name -}}
{{- else -}}
{{- printf "%s-%s" ($name | trunc 43 | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- end }}

{{/* Cluster-scoped objects carry release name and namespace, so that two installations never share one. */}}
{{- define "postrider.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "postrider.fullname" .) }}
{{- end }}

{{- define "postrider.selectorLabels" -}}
app.kubernetes.io/name: {{ include "postrider.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "postrider.labels" -}}
{{ include "postrider.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "postrider.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "postrider.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "postrider.image" -}}
{{- $name := .Values.image.repository -}}
{{- with .Values.image.registry }}{{- $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end }}

{{- define "postrider.claimName" -}}
{{- default (include "postrider.suffixed" (dict "context" . "suffix" "data")) .Values.persistence.existingClaim }}
{{- end }}

{{- define "postrider.secretsClusterRoleName" -}}
{{- printf "%s-secrets" (include "postrider.clusterName" .) }}
{{- end }}

{{- define "postrider.tokensClusterRoleName" -}}
{{- printf "%s-tokens" (include "postrider.clusterName" .) }}
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
# The keys by which tokens are signed. Kubernetes lets every ServiceAccount read them (system:service-account-issuer-discovery), unless somebody took that away.
- nonResourceURLs: [/.well-known/openid-configuration, /openid/v1/jwks]
  verbs: [get]
{{- end }}
{{- end }}

{{- define "postrider.subject" -}}
- kind: ServiceAccount
  name: {{ include "postrider.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{- define "postrider.uninstallHook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
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
