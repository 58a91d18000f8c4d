{{/* One endpoint of a monitor. Use: dict "context" . "monitor" .Values.serviceMonitor "name" "serviceMonitor" */}}
{{- define "postrider.monitorEndpoint" -}}
port: metrics
path: {{ .path }}
interval: {{ .monitor.interval }}
scrapeTimeout: {{ .monitor.scrapeTimeout }}
{{ include "postrider.monitorTLS" . }}
{{- if .monitor.authorization }}
authorization:
  {{- toYaml .monitor.authorization | nindent 2 }}
{{- else if eq .context.Values.metrics.auth "kubernetes" }}
{{- if eq .name "podMonitor" }}
{{- fail "podMonitor.authorization: metrics.auth kubernetes needs credentials; a ServiceMonitor can use Prometheus's own token" }}
{{- end }}
bearerTokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
{{- end }}
# `namespace` is the subscription's; without this it would become exported_namespace and no rule or dashboard would find it.
honorLabels: true
relabelings:
  # Both pages have the same job and instance: without this their series `up` would be one.
  - sourceLabels: [__metrics_path__]
    targetLabel: metrics_path
  {{- with .monitor.relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The pages of metrics that there are: the second one is empty where nothing is shown per subscription. */}}
{{- define "postrider.monitorEndpoints" -}}
- {{- include "postrider.monitorEndpoint" (merge (dict "path" "/metrics") .) | nindent 2 }}
{{- if ne (.context.Values.metrics.perSubscription | default "off" | toString) "off" }}
- {{- include "postrider.monitorEndpoint" (merge (dict "path" "/metrics/per-subscription") .) | nindent 2 }}
{{- end }}
{{- end }}

{{/* A monitor looks in its own namespace, unless it is told another one. */}}
{{- define "postrider.monitorNamespaceSelector" -}}
{{- if and .monitor.namespace (ne .monitor.namespace .context.Release.Namespace) }}
namespaceSelector:
  matchNames: [{{ .context.Release.Namespace | quote }}]
{{- end }}
{{- end }}
