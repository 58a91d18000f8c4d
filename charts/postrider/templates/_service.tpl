{{/*
The Service of a port. What its type has no use for is refused: Kubernetes would drop some of it without a word.
Use: dict "context" . "port" "ingest" "values" .Values.ingest.service
*/}}
{{- define "postrider.service" -}}
{{- $values := .values -}}
{{- $path := printf "%s.service" .port -}}
{{- range $key := list "loadBalancerClass" "loadBalancerSourceRanges" "loadBalancerIP" -}}
{{- if and (index $values $key) (ne $values.type "LoadBalancer") -}}
{{- fail (printf "%s.%s is set, but %s.type is %s: set the type to LoadBalancer, or remove the value" $path $key $path $values.type) -}}
{{- end -}}
{{- end -}}
{{- range $key := list "nodePort" "externalTrafficPolicy" -}}
{{- if and (index $values $key) (eq $values.type "ClusterIP") -}}
{{- fail (printf "%s.%s is set, but %s.type is ClusterIP: set the type to NodePort or LoadBalancer, or remove the value" $path $key $path) -}}
{{- end -}}
{{- end -}}
{{- $scheme := include "postrider.scheme" (dict "context" .context "port" .port) -}}
{{- $port := dict "name" $scheme "port" $values.port "targetPort" .port "protocol" "TCP" "appProtocol" (default $scheme $values.appProtocol) -}}
{{- with $values.nodePort }}{{ $_ := set $port "nodePort" . }}{{ end -}}
{{- $spec := dict "type" $values.type "selector" (include "postrider.selectorLabels" .context | fromYaml) "ports" (list $port) -}}
{{- $optional := list "clusterIP" "ipFamilyPolicy" "ipFamilies" "loadBalancerClass" "loadBalancerIP" "loadBalancerSourceRanges" "externalIPs" -}}
{{- $optional = concat $optional (list "externalTrafficPolicy" "internalTrafficPolicy" "sessionAffinity" "sessionAffinityConfig" "trafficDistribution") -}}
{{- range $key := $optional }}{{ with index $values $key }}{{ $_ := set $spec $key . }}{{ end }}{{ end -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "postrider.suffixed" (dict "context" .context "suffix" .port) | quote }}
  namespace: {{ .context.Release.Namespace | quote }}
  labels:
    {{- include "postrider.labelsWith" (dict "context" .context "component" .port "extra" (list $values.labels)) | nindent 4 }}
  {{- include "postrider.annotations" (list $values.annotations) | nindent 2 }}
spec:
  {{- toYaml $spec | nindent 2 }}
{{- end }}
