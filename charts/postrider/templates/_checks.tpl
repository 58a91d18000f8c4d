{{/* What would be installed and not work is refused here, before any other template is rendered. */}}
{{- define "postrider.checks" -}}
{{- include "postrider.checkValuesAreComplete" . -}}
{{- $_ := include "postrider.image" . -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) (add (int .Values.drainTimeoutSeconds) 10 | int) }}
{{- fail (printf "terminationGracePeriodSeconds (%d) must be longer than drainTimeoutSeconds (%d) by at least 10 s: the Pod would be killed while it stops" (int .Values.terminationGracePeriodSeconds) (int .Values.drainTimeoutSeconds)) }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "serviceMonitor.enabled and podMonitor.enabled would scrape everything twice: choose one" }}
{{- end }}
{{- if and (include "postrider.uninstalls" .) (not .Values.uninstall.serviceAccount.create) (not .Values.uninstall.serviceAccount.name) }}
{{- fail "uninstall.serviceAccount.create is false and uninstall.serviceAccount.name is empty: name the ServiceAccount of the uninstall Job, or set uninstall.enabled=false" }}
{{- end }}
{{- include "postrider.checkNames" . -}}
{{- include "postrider.checkClientCA" . -}}
{{- include "postrider.checkClaim" . -}}
{{- end }}

{{/* `helm upgrade --reuse-values` keeps the values of the former chart and adds none of this one. */}}
{{- define "postrider.checkValuesAreComplete" -}}
{{- range $path := include "postrider.valueGroups" . | fromYamlArray -}}
{{- $at := $.Values -}}
{{- range $key := splitList "." $path -}}
{{- if not (kindIs "map" (get $at $key)) -}}
{{- fail (printf "the value %s is missing: these are the values of an older chart, as `helm upgrade --reuse-values` keeps them. Use --reset-then-reuse-values instead, which adds what is new" $path) -}}
{{- end -}}
{{- $at = get $at $key -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Volumes and mounts of the chart's own; a second one of the name is refused by the API server in words that name no value. */}}
{{- define "postrider.checkNames" -}}
{{- $tls := include "postrider.tlsParts" . | fromYaml -}}
{{- $names := list "data" "tmp" }}{{ $paths := list "/data" "/tmp" }}{{ $containers := list "postrider" -}}
{{- range $tls.volumes }}{{ $names = append $names .name }}{{ end -}}
{{- range $tls.mounts }}{{ $paths = append $paths .mountPath }}{{ end -}}
{{- range .Values.extraVolumes -}}
{{- if has .name $names }}{{ fail (printf "extraVolumes: the name %s is in use: choose another one (in use: %s)" .name (join ", " $names)) }}{{ end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- range .Values.extraVolumeMounts -}}
{{- $path := trimSuffix "/" .mountPath -}}
{{- if has $path $paths }}{{ fail (printf "extraVolumeMounts: something is mounted at %s already: choose another path (in use: %s)" $path (join ", " $paths)) }}{{ end -}}
{{- $paths = append $paths $path -}}
{{- end -}}
{{- range concat (default list .Values.initContainers) (default list .Values.extraContainers) -}}
{{- if has .name $containers }}{{ fail (printf "initContainers, extraContainers: the name %s is in use: choose another one (in use: %s)" .name (join ", " $containers)) }}{{ end -}}
{{- $containers = append $containers .name -}}
{{- end -}}
{{- end }}

{{- define "postrider.checkClientCA" -}}
{{- if and .Values.tls.ingest.clientCA.secretName (not (include "postrider.tlsSecret" (dict "context" . "port" "ingest"))) -}}
{{- fail "tls.ingest.clientCA.secretName is set, but the ingest speaks plain HTTP, where no client shows a certificate: set tls.ingest.secretName or tls.ingest.certManager.enabled, too" -}}
{{- end -}}
{{- end }}

{{/*
An upgrade under another name would start on an empty claim, and undelivered events would stay behind in the old one. And most of a claim
cannot be changed: the API server's refusal names no value. Without a cluster (helm template, Argo CD) lookup finds nothing, and nothing is checked.
*/}}
{{- define "postrider.checkClaim" -}}
{{- if and .Values.persistence.enabled (not .Values.persistence.existingClaim) -}}
{{- $name := include "postrider.claimName" . -}}
{{- $claim := lookup "v1" "PersistentVolumeClaim" .Release.Namespace $name -}}
{{- if $claim -}}
{{- $mode := first $claim.spec.accessModes -}}
{{- if ne $mode .Values.persistence.accessMode -}}
{{- fail (printf "persistence.accessMode is %s, but the claim %s has %s, which Kubernetes does not change: set --set persistence.accessMode=%s, or copy the data to a claim of your own and name it with persistence.existingClaim" .Values.persistence.accessMode $name $mode $mode) -}}
{{- end -}}
{{- with .Values.persistence.storageClassName -}}
{{- $class := default "-" $claim.spec.storageClassName -}}
{{- if ne $class . -}}
{{- fail (printf "persistence.storageClassName is %s, but the claim %s has %s, which Kubernetes does not change: set --set persistence.storageClassName=%s, or copy the data to a claim of your own and name it with persistence.existingClaim" . $name $class $class) -}}
{{- end -}}
{{- end -}}
{{- else if .Release.IsUpgrade -}}
{{- range (lookup "v1" "PersistentVolumeClaim" .Release.Namespace "").items -}}
{{- if eq (get (default dict .metadata.annotations) "meta.helm.sh/release-name") $.Release.Name -}}
{{- fail (printf "release %s keeps its events in the claim %s, and with this nameOverride or fullnameOverride it would start on a new, empty claim %s: set --set persistence.existingClaim=%s to keep the events, or remove the override" $.Release.Name .metadata.name $name .metadata.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
