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

{{/*
Cluster-scoped objects carry namespace and release name, so that two installations never share one. Neither can hold the colon between
them: `a:b-c` and `a-b:c` stay two, where `a-b-c` would be both. What is named after the part of a release joins it with a colon, too.
*/}}
{{- define "postrider.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "postrider.fullname" .) }}
{{- end }}

{{- define "postrider.selectorLabels" -}}
app.kubernetes.io/name: {{ include "postrider.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | trunc 63 | trimSuffix "-" | quote }}
{{- end }}

{{- define "postrider.labels" -}}
{{- include "postrider.labelsWith" (dict "context" .) -}}
{{- end }}

{{/*
Labels of an object as one map, so that no key appears twice: the chart's, commonLabels, then the maps of `extra`; what selectors and Helm
look for always wins. Use: include "postrider.labelsWith" (dict "context" . "component" "api" "extra" (list .Values.api.service.labels))
*/}}
{{- define "postrider.labelsWith" -}}
{{- $root := .context -}}
{{- $chart := printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- $own := dict "app.kubernetes.io/version" ($root.Chart.AppVersion | replace "+" "_") "helm.sh/chart" $chart -}}
{{- $fixed := dict "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- with .component }}{{ $_ := set $fixed "app.kubernetes.io/component" . }}{{ end -}}
{{- $selector := include "postrider.selectorLabels" $root | fromYaml -}}
{{- include "postrider.merged" (concat (list $own $root.Values.commonLabels) (default list .extra) (list $selector $fixed)) -}}
{{- end }}

{{/* One map out of a list of maps, later ones win; nothing when all are empty. */}}
{{- define "postrider.merged" -}}
{{- $all := dict -}}
{{- range . }}{{- with . }}{{- $all = mustMergeOverwrite $all (deepCopy .) -}}{{- end }}{{- end -}}
{{- with $all }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* `annotations:` of these maps, or nothing. For the place right under `metadata:`. */}}
{{- define "postrider.annotations" -}}
{{- with include "postrider.merged" . }}
annotations:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "postrider.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "postrider.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "postrider.claimName" -}}
{{- default (include "postrider.suffixed" (dict "context" . "suffix" "data")) .Values.persistence.existingClaim }}
{{- end }}

{{/* What the host part of a Service's URL is. Use: include "postrider.serviceHost" (dict "context" . "port" "ingest") */}}
{{- define "postrider.serviceHost" -}}
{{- printf "%s.%s.svc" (include "postrider.suffixed" (dict "context" .context "suffix" .port)) .context.Release.Namespace -}}
{{- end }}
